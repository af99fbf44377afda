//! The two calls of the SDK in JavaScript whose requests are protocol buffers, and whose answers are such in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Asked, Given, conversations, no_route, users};
use crate::error::{Error, Kind};
use crate::openim::v3::proto::{
    ConversationMsg, ConversationsResp, GetActiveConversationsReq, GetConversationsReq, Message,
};
use crate::openim::v3::translate;
use crate::service::{Named, Outline};

/// Most conversations in an answer.
const MOST: usize = 100;

/// Bytes of an answer beyond which conversations come without their last messages.
const ANSWER_BYTES: usize = 2 * 1024 * 1024;

pub(super) async fn answer(asked: &Asked<'_>) -> Given {
    let body = asked.call.body;
    let malformed =
        |error: crate::openim::v3::proto::Malformed| Error::new(Kind::Malformed, error.to_string());
    let (owner, outlines) = match asked.call.path {
        "/jssdk/get_active_conversations" => {
            let wanted = GetActiveConversationsReq::decode(body).map_err(malformed)?;
            let owner = own(asked, wanted.owner_user_id);
            let mut outlines = asked.service.outlines(&asked.principal, &owner).await?;
            let most = usize::try_from(wanted.count).unwrap_or(0).clamp(1, MOST);
            outlines.sort_by_key(|outline| std::cmp::Reverse(outline.last_time));
            outlines.truncate(most);
            (owner, outlines)
        }
        "/jssdk/get_conversations" => {
            let mut wanted = GetConversationsReq::decode(body).map_err(malformed)?;
            let owner = own(asked, wanted.owner_user_id);
            wanted.conversation_ids.truncate(MOST);
            let outlines = conversations::named(asked, &owner, &wanted.conversation_ids).await?;
            (owner, outlines)
        }
        _ => return no_route(),
    };
    let mut answer = ConversationsResp::default();
    let mut bytes = 0;
    for outline in &outlines {
        answer.unread_count += translate::number(outline.unread);
        let row = row(asked, &owner, outline, bytes < ANSWER_BYTES).await?;
        let last = row.last_msg.as_ref();
        bytes += last.map_or(0, |last| last.content.len());
        answer.conversations.push(row);
    }
    let text = STANDARD.encode(answer.to_vec());
    // Later clients ask for JSON by their content type; none of them is known yet.
    Ok(Value::String(text)).map(|data| {
        if answer.conversations.is_empty() {
            json!("")
        } else {
            data
        }
    })
}

fn own(asked: &Asked<'_>, named: String) -> String {
    if named.is_empty() {
        asked.principal.user.clone()
    } else {
        named
    }
}

async fn row(
    asked: &Asked<'_>,
    owner: &str,
    outline: &Outline,
    with_last: bool,
) -> Result<ConversationMsg, Error> {
    let named = Named {
        kind: outline.place.kind,
        peer: &outline.place.peer,
    };
    let last = match with_last {
        true => vec![outline.head.0],
        false => Vec::new(),
    };
    let last = asked
        .service
        .messages_at(&asked.principal, owner, named, last)
        .await?;
    let head = translate::number(outline.head.0);
    Ok(ConversationMsg {
        conversation: Some(conversations::row(owner, outline)),
        last_msg: last
            .first()
            .map(|view| translate::message(owner, &outline.place, view)),
        user: users::info(asked.service, &asked.principal, &outline.place.peer).await?,
        max_seq: head,
        read_seq: translate::number(outline.read_as_counted()),
    })
}
