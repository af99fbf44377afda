//! The vocabulary of the generated notifications: what an office system's notices are called and made of.
//!
//! It must not know how the pieces are put together. Changing anything here changes every corpus and with it the
//! golden hash in `corpus.rs`, and makes older results incomparable.

/// Applications that send notices: the name people see, and its place in a URL.
pub const APPS: [(&str, &str); 24] = [
    ("公文管理", "document"),
    ("请假审批", "leave"),
    ("报销审批", "expense"),
    ("入职通知", "onboarding"),
    ("离职通知", "offboarding"),
    ("放假通知", "holiday"),
    ("会议邀请", "meeting"),
    ("任务提醒", "task"),
    ("考勤异常", "attendance"),
    ("工资条", "payslip"),
    ("合同到期", "contract"),
    ("采购申请", "purchase"),
    ("用印申请", "seal"),
    ("培训报名", "training"),
    ("系统告警", "alert"),
    ("发布上线", "release"),
    ("工单流转", "ticket"),
    ("客户跟进", "crm"),
    ("库存预警", "stock"),
    ("车辆预约", "car"),
    ("访客登记", "visitor"),
    ("绩效考核", "review"),
    ("周报催交", "weekly"),
    ("Security notice", "security"),
];

/// Who the notice concerns: appended to some names.
pub const UNITS: [&str; 12] = [
    "财务部",
    "人事部",
    "研发一部",
    "研发二部",
    "市场部",
    "华东区",
    "华南区",
    "法务",
    "行政",
    "Ops",
    "R&D",
    "Sales",
];

/// Nicknames of the sending account, as a caller states them with each notice.
pub const SENDERS: [&str; 12] = [
    "系统通知",
    "系统通知2",
    "OA助手",
    "人事助手",
    "财务助手",
    "流程中心",
    "运维机器人",
    "会议助手",
    "安全中心",
    "HR Bot",
    "Build Bot",
    "行政前台",
];

/// Frequent characters of written Chinese, without repetition.
pub const HAN: &str = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接知较将组见计别她手角期根论运农指几九区强放决西被干做必战先回则任取据处";

/// Letters for made-up Latin words; vowels twice, so that words look like words.
pub const LATIN: &[u8] = b"aaeeiioouubcdfghklmnprstvwy";
