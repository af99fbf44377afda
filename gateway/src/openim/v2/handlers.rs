//! The endpoints of the v2 dialect: order of checks, statuses and texts as in the original, over the service.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Response};
use waybill_core::body::OfflinePush;
use waybill_core::command::{ConversationKind, Unknown};
use waybill_core::fact::Options;
use waybill_core::id::{UserNo, check_id};
use waybill_core::record::Surface;

use super::reply::Reply;
use super::requests::{
    MANAGEMENT_BATCH_SEND_MSG, MANAGEMENT_SEND_MSG, ManagementSendMsg, PARSE_TOKEN, ParseToken,
    USER_REGISTER, USER_TOKEN, UserRegister, UserToken,
};
use crate::auth::Principal;
use crate::content::{self, Checked, Demand};
use crate::error::{Error, Kind};
use crate::http::respond::{self, Body};
use crate::http::{Answered, Call};
use crate::openim::go::bind::{BindError, Shape, Values, bind, scan};
use crate::openim::go::scan::Tape;
use crate::service::{AskedTerms, Issued, Outgoing, Registration, Service};
use crate::telemetry::metrics::Route;
use crate::telemetry::same_secret;

/// The header that carries the token.
const TOKEN: HeaderName = HeaderName::from_static("token");

/// What a request came to, before it becomes a response.
pub(super) struct Outcome {
    pub(super) reply: Reply,
    operation_id: String,
    error: Option<Error>,
}

impl Outcome {
    pub(super) fn ok(reply: Reply, operation_id: &str) -> Self {
        Self {
            reply,
            operation_id: operation_id.to_owned(),
            error: None,
        }
    }

    pub(super) fn refused(reply: Reply, operation_id: &str, error: Error) -> Self {
        Self {
            reply,
            operation_id: operation_id.to_owned(),
            error: Some(error),
        }
    }
}

/// A request that could not be read at all.
pub fn refuse(error: &Error) -> Answered {
    let outcome = Outcome::refused(Reply::of(error), "", error.clone());
    respond(outcome, Route::Other)
}

/// Answers a request of the dialect.
pub async fn answer(service: &Service, call: &Call<'_>) -> Answered {
    if call.method == Method::OPTIONS {
        return respond(Outcome::ok(Reply::options(), ""), Route::Other);
    }
    if call.method != Method::POST {
        return not_found();
    }
    let (outcome, route) = match call.path {
        "/manager/send_msg" | "/msg/manage_send_msg" => (send(service, call).await, Route::V2Send),
        "/manager/batch_send_msg" | "/msg/batch_send_msg" => {
            (batch_send(service, call).await, Route::V2BatchSend)
        }
        "/auth/user_register" => (register(service, call).await, Route::V2Register),
        "/auth/user_token" => (user_token(service, call).await, Route::V2Token),
        "/auth/parse_token" => (parse_token(service, call), Route::V2ParseToken),
        path => {
            let tended = match super::directory::answer(service, call).await {
                Some(outcome) => Some(outcome),
                None => super::inbox::answer(service, call).await,
            };
            match tended.or_else(|| super::offered::refusal(path)) {
                Some(outcome) => (outcome, Route::V2Other),
                None => return not_found(),
            }
        }
    };
    respond(outcome, route)
}

/// The answer of the original's framework to an unknown path and to a wrong method.
fn not_found() -> Answered {
    let mut response = respond::with(404, "text/plain", &b"404 page not found"[..]);
    cors(response.headers_mut());
    Answered {
        response,
        route: Route::Other,
        operation_id: String::new(),
        kind: Some(Kind::NoRoute),
    }
}

fn respond(outcome: Outcome, route: Route) -> Answered {
    let Outcome {
        reply,
        operation_id,
        error,
    } = outcome;
    let mut response: Response<Body> = respond::with(reply.status, "application/json", reply.body);
    cors(response.headers_mut());
    if let Some(error) = &error {
        respond::retry_after(&mut response, error);
    }
    Answered {
        response,
        route,
        operation_id,
        kind: error.map(|error| error.kind),
    }
}

/// The headers that the original puts on every answer, for web pages of any origin; they carry no credentials.
fn cors(headers: &mut HeaderMap) {
    const ALL: HeaderValue = HeaderValue::from_static("*");
    for name in [
        "access-control-allow-origin",
        "access-control-allow-methods",
        "access-control-allow-headers",
    ] {
        headers.insert(HeaderName::from_static(name), ALL);
    }
    debug_assert!(headers.contains_key(CONTENT_TYPE));
}

pub(super) fn token<'a>(call: &'a Call<'_>) -> Result<&'a str, Error> {
    call.header(&TOKEN)
        .map_err(|_| Error::of(Kind::TokenMalformed))
}

/// A request to send that may be done.
struct Ready<'a> {
    request: ManagementSendMsg<'a>,
    principal: Arc<Principal>,
    checked: Checked,
    kind: ConversationKind,
}

/// Checks a request to send, in the original's order: request, contentType, content, token, manager, receiver.
fn ready<'a>(
    service: &Service,
    call: &'a Call<'_>,
    shape: &'static Shape,
    receivers: Receivers,
) -> Result<Ready<'a>, Outcome> {
    let tape = scanned(service, call).map_err(|error| unbound("", error))?;
    let values = bind(&tape, shape).map_err(|error| unbound("", error))?;
    let request = ManagementSendMsg(values);
    let operation_id = request.operation_id();
    let (_, place) = request.content();
    let checked = content::check_object(
        request.content_type(),
        tape.at(place),
        tape.unusual,
        service.limits().content_bytes,
        // What its callers send today they can send tomorrow: the original asks for no more.
        Demand::Required,
    );
    let checked =
        checked.map_err(|error| Outcome::refused(Reply::of(&error), operation_id, error))?;
    let principal = token(call).and_then(|token| service.authenticate(token));
    let principal = principal.map_err(|error| {
        let reply = match error.kind {
            // Not a bad token, and the caller should try again.
            Kind::TokenState => Reply::of(&error),
            _ => Reply::denied(400, "parse token failed"),
        };
        Outcome::refused(reply, operation_id, error)
    })?;
    if !principal.is_business() {
        let error = Error::of(Kind::Forbidden);
        let reply = Reply::denied(400, "not authorized");
        return Err(Outcome::refused(reply, operation_id, error));
    }
    let kind = conversation(&request, receivers, checked.conversation)
        .map_err(|(reply, error)| Outcome::refused(reply, operation_id, error))?;
    Ok(Ready {
        request,
        principal,
        checked,
        kind,
    })
}

/// `POST /manager/send_msg`
async fn send(service: &Service, call: &Call<'_>) -> Outcome {
    let ready = match ready(service, call, &MANAGEMENT_SEND_MSG, Receivers::One) {
        Ok(ready) => ready,
        Err(outcome) => return outcome,
    };
    let request = &ready.request;
    let operation_id = request.operation_id();
    let done = send_checked(service, call, &ready).await;
    note(service, &ready, done.as_ref().map(|_| true));
    match done {
        Ok(reply) => Outcome::ok(reply, operation_id),
        Err(error) => {
            let reply = match error.row().v2_http {
                200 => Reply::refused(error.row().v2, &error.detail, request.client_msg_id()),
                _ => Reply::of(&error),
            };
            Outcome::refused(reply, operation_id, error)
        }
    }
}

/// `POST /manager/batch_send_msg`: to each receiver for itself. Every receiver has a message id of their own, and a retry with
/// the same key sends to those only who have not got it.
async fn batch_send(service: &Service, call: &Call<'_>) -> Outcome {
    let ready = match ready(service, call, &MANAGEMENT_BATCH_SEND_MSG, Receivers::Many) {
        Ok(ready) => ready,
        Err(outcome) => return outcome,
    };
    let operation_id = ready.request.operation_id();
    let done = batch_send_checked(service, call, &ready).await;
    note(service, &ready, done.as_ref().map(|(_, whole)| *whole));
    match done {
        Ok((reply, _)) => Outcome::ok(reply, operation_id),
        Err(error) => Outcome::refused(Reply::of(&error), operation_id, error),
    }
}

/// Notes for `/msg/check_msg_is_send_success` what became of a send, where that is known.
fn note(service: &Service, ready: &Ready<'_>, done: Result<bool, &Error>) {
    let succeeded = match done {
        Ok(succeeded) => succeeded,
        Err(error) if error.kind == Kind::OutcomeUnknown => return,
        Err(_) => false,
    };
    service.note_operation(&ready.principal, ready.request.operation_id(), succeeded);
}

/// The answer, and whether every receiver has got the message.
async fn batch_send_checked(
    service: &Service,
    call: &Call<'_>,
    ready: &Ready<'_>,
) -> Result<(Reply, bool), Error> {
    if ready.request.is_online_only() {
        let text = "isOnlineOnly goes to one user: nothing was sent";
        return Err(Error::at(Kind::NotOffered, "isOnlineOnly", text));
    }
    let key = key(service, call, &ready.principal, &ready.request)?;
    let outgoing = outgoing(call, ready, "", &key)?;
    let mut named = HashSet::new();
    let (mut good, mut failed) = (Vec::new(), Vec::new());
    for id in ready.request.recv_ids() {
        if !named.insert(id.as_ref()) {
            continue;
        }
        match check_id(id) {
            Ok(()) => good.push(id.to_string()),
            Err(_) => failed.push(id.to_string()),
        }
    }
    let (sent, others) = service
        .post_batch(&ready.principal, Surface::OpenImV2, outgoing, &good)
        .await?;
    failed.extend(others);
    Ok((Reply::batch_sent(&sent, &failed), failed.is_empty()))
}

async fn send_checked(
    service: &Service,
    call: &Call<'_>,
    ready: &Ready<'_>,
) -> Result<Reply, Error> {
    let request = &ready.request;
    check_id(request.recv_id())
        .map_err(|error| Error::at(Kind::InvalidId, "recvID", format!("recvID {error}")))?;
    let key = key(service, call, &ready.principal, request)?;
    let outgoing = outgoing(call, ready, request.recv_id(), &key)?;
    if request.is_online_only() {
        let sent = service
            .send_online(&ready.principal, Surface::OpenImV2, outgoing)
            .await?;
        return Ok(Reply::sent(
            &sent.server_msg_id,
            &sent.client_msg_id,
            sent.time.0,
        ));
    }
    let prepared = service.prepare(&ready.principal, Surface::OpenImV2, outgoing)?;
    let sent = service.send(prepared).await?;
    Ok(Reply::sent(
        &sent.server_msg_id,
        &sent.client_msg_id,
        sent.time.0,
    ))
}

/// What a request asks to be sent, to this receiver.
fn outgoing<'r>(
    call: &Call<'_>,
    ready: &'r Ready<'_>,
    receiver: &'r str,
    key: &'r str,
) -> Result<Outgoing<'r>, Error> {
    let request = &ready.request;
    check_id(request.send_id())
        .map_err(|error| Error::at(Kind::InvalidId, "sendID", format!("sendID {error}")))?;
    let mut options_off = ready.checked.off;
    if request.not_offline_push() {
        options_off = options_off.with(Options::OFFLINE_PUSH);
    }
    Ok(Outgoing {
        sender: request.send_id(),
        receiver,
        kind: ready.kind,
        checked: ready.checked,
        content: request.content().0,
        client_msg_id: request.client_msg_id(),
        key,
        operation_id: request.operation_id(),
        sender_nickname: request.sender_nickname(),
        sender_face_url: request.sender_face_url(),
        sender_platform: request.sender_platform(),
        options_off,
        offline_push: request.offline_push().map(|push| OfflinePush {
            title: push.title().to_owned(),
            desc: push.desc().to_owned(),
            ex: push.ex().to_owned(),
            ios_push_sound: push.ios_push_sound().to_owned(),
            ios_badge_count: push.ios_badge_count(),
        }),
        created: None,
        address: call.peer.ip().to_string(),
        terms: AskedTerms::default(),
    })
}

/// What makes this call a retry of another: the header; else the clientMsgID, which the service takes itself; else, for
/// accounts configured so, the operationID.
fn key<'r>(
    service: &Service,
    call: &'r Call<'_>,
    principal: &Principal,
    request: &'r ManagementSendMsg<'_>,
) -> Result<Cow<'r, str>, Error> {
    let (own, traced) = (request.client_msg_id(), request.operation_id());
    Ok(service.retry_key(principal, call.idempotency_key()?, own, traced))
}

/// To how many a request sends: a batch may be to nobody.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Receivers {
    One,
    Many,
}

/// Which kind of conversation it is. 1400 is a notification whatever sessionType says. Groups do not exist here yet, so
/// every group is an unknown one. The original lets a notification without a receiver fail in its queue; here it is
/// refused like a message without one.
fn conversation(
    request: &ManagementSendMsg<'_>,
    receivers: Receivers,
    own: ConversationKind,
) -> Result<ConversationKind, (Reply, Error)> {
    let session_type = match own {
        ConversationKind::Notification => 4,
        ConversationKind::Single => request.session_type(),
    };
    let nobody =
        |text: &'static str| Err((Reply::denied(405, text), Error::new(Kind::NoReceiver, text)));
    let refused = |error: Error| {
        let reply = Reply::refused(error.row().v2, &error.detail, request.client_msg_id());
        Err((reply, error))
    };
    match session_type {
        1 | 4 if receivers == Receivers::One && request.recv_id().is_empty() => {
            nobody("recvID is a null string")
        }
        1 => Ok(ConversationKind::Single),
        4 => Ok(ConversationKind::Notification),
        2 if request.group_id().is_empty() => nobody("groupID is a null string"),
        2 | 3 => refused(Error::new(Kind::UnknownGroup, "db failed")),
        _ => refused(Error::new(Kind::SessionType, "unknown sessionType")),
    }
}

/// `POST /auth/user_register`: registers and issues a token in one call.
async fn register(service: &Service, call: &Call<'_>) -> Outcome {
    let request = match bound(service, call, &USER_REGISTER) {
        Ok(values) => UserRegister(values),
        Err(error) => return unbound(" BindJSON failed ", error),
    };
    let operation_id = request.operation_id();
    if !knows_secret(service, request.secret()) {
        let text = " params.Secret != config.Config.Secret ";
        let reply = Reply::error(400, 401, text);
        return Outcome::refused(reply, operation_id, Error::of(Kind::WrongSecret));
    }
    let registration = Registration {
        user: request.user_id(),
        nickname: request.nickname(),
        face_url: request.face_url(),
        rest: &request.rest(),
    };
    let registered = service
        .register(UserNo(0), Surface::OpenImV2, registration)
        .await;
    if let Err(error) = registered {
        let row = error.row();
        let text = match error.kind {
            Kind::AlreadyRegistered => format!("{operation_id}  UserRegister failed {error}"),
            _ => error.to_string(),
        };
        return Outcome::refused(
            Reply::error(row.v2_http, row.v2, &text),
            operation_id,
            error,
        );
    }
    issue(service, request.user_id(), request.platform(), operation_id).await
}

/// `POST /auth/user_token`: of registered users only.
async fn user_token(service: &Service, call: &Call<'_>) -> Outcome {
    let request = match bound(service, call, &USER_TOKEN) {
        Ok(values) => UserToken(values),
        Err(error) => return unbound(" BindJSON failed ", error),
    };
    let operation_id = request.operation_id();
    if !knows_secret(service, request.secret()) {
        let text = format!("{operation_id} params.Secret != config.Config.Secret ");
        let reply = Reply::error(400, 401, &text);
        return Outcome::refused(reply, operation_id, Error::of(Kind::WrongSecret));
    }
    match service.is_registered(request.user_id()) {
        Ok(true) => issue(service, request.user_id(), request.platform(), operation_id).await,
        Ok(false) => {
            let error = Error::of(Kind::UnknownUser);
            let reply = Reply::no_token(error.row().v2, "db failed", request.user_id());
            Outcome::refused(reply, operation_id, error)
        }
        Err(error) => Outcome::refused(Reply::of(&error), operation_id, error),
    }
}

async fn issue(service: &Service, user: &str, platform: u8, operation_id: &str) -> Outcome {
    let lifetime = service.token_lifetime();
    let issued = service
        .issue_token(
            UserNo(0),
            Surface::OpenImV2,
            user,
            platform,
            lifetime,
            Unknown::Refuse,
        )
        .await;
    match issued {
        Ok(Issued { user, minted, .. }) => {
            let reply = Reply::token(&user, minted.token.expose(), minted.expires);
            Outcome::ok(reply, operation_id)
        }
        Err(error) => Outcome::refused(Reply::of(&error), operation_id, error),
    }
}

/// `POST /auth/parse_token`: until when the token in the header is valid.
fn parse_token(service: &Service, call: &Call<'_>) -> Outcome {
    let request = match bound(service, call, &PARSE_TOKEN) {
        Ok(values) => ParseToken(values),
        Err(error) => return unbound(" BindJSON failed ", error),
    };
    let operation_id = request.operation_id();
    match token(call).and_then(|token| service.authenticate(token)) {
        Ok(principal) => Outcome::ok(Reply::parsed_token(principal.expires), operation_id),
        Err(error) => {
            let text = format!("{operation_id} GetUserIDFromTokenExpireTime failed {error}");
            Outcome::refused(Reply::error(400, 1001, &text), operation_id, error)
        }
    }
}

fn knows_secret(service: &Service, secret: &str) -> bool {
    same_secret(
        secret.as_bytes(),
        service.openim_secret().expose().as_bytes(),
    )
}

fn scanned<'a>(service: &Service, call: &'a Call<'_>) -> Result<Tape<'a>, BindError> {
    let depth = usize::try_from(service.limits().json_depth).unwrap_or(usize::MAX);
    scan(call.body, depth)
}

pub(super) fn bound<'a>(
    service: &Service,
    call: &'a Call<'_>,
    shape: &'static Shape,
) -> Result<Values<'a>, BindError> {
    bind(&scanned(service, call)?, shape)
}

pub(super) fn unbound(prefix: &str, error: BindError) -> Outcome {
    let kind = match error {
        BindError::Syntax(_) | BindError::NotText => Kind::Malformed,
        BindError::Type(_) | BindError::Rules(_) => Kind::InvalidField,
    };
    let text = format!("{prefix}{error}");
    Outcome::refused(Reply::error(400, 400, &text), "", Error::new(kind, text))
}
