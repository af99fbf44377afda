//! The third part of the fixed commands: the directory, and where logs begin.

use waybill_core::body::{Body, Profile};
use waybill_core::command::Ask;
use waybill_core::id::{Position, Seq, UserNo};
use waybill_core::record::Surface;

use super::script::Script;

const LI: &str = "李四";

impl Script {
    fn update(&mut self, user: u64, base: Option<Position>, profile: Profile) {
        let ask = Ask::UpdateProfile {
            user: UserNo(user),
            base,
            profile: Body::Profile(profile).seal(self.opening()),
        };
        self.later(9);
        self.ask(1, Surface::OpenImV2, ask);
    }

    fn unregister(&mut self, user: u64) {
        let user = UserNo(user);
        self.ask(1, Surface::OpenImV2, Ask::Unregister { user });
    }

    fn trim(&mut self, user: u64, floor: u64) {
        let (user, floor) = (UserNo(user), Seq(floor));
        self.ask(1, Surface::OpenImV2, Ask::TrimLog { user, floor });
    }
}

/// Profiles that change, registrations that end and begin again, logs that begin later.
pub fn directory(script: &mut Script, last: u64) {
    let profile = |nickname: &str| Profile {
        nickname: nickname.to_owned(),
        ..Profile::default()
    };
    // Li registers, and is called otherwise; then on a base that is not there any more.
    script.register(LI, profile("李四"));
    let base = Position(last + 1);
    script.update(3, Some(base), profile("李思"));
    script.update(3, Some(base), profile("李斯"));
    script.update(99, None, profile("nobody"));
    script.unregister(3);
    script.unregister(3);
    script.register(LI, profile("李四"));
    script.unregister(3);
    // His profile was erased before; so he is called something again.
    script.update(2, None, profile("张三"));
    // Up, back, and too far.
    for floor in [3, 2, 3, 1_000] {
        script.trim(3, floor);
    }
    script.trim(99, 1);
}
