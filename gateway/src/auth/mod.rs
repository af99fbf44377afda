//! Who is calling: tokens are made and verified here, and become a [`Principal`]. What a principal may do with which
//! endpoint is the service's business; whether a token was issued and not revoked is the log's.

mod authenticator;
mod cache;
mod keys;
mod principal;
mod tickets;
mod token;

pub use authenticator::{Authenticator, Standing, StateUnavailable, TokenState};
pub use keys::KeyRing;
pub use principal::{Principal, Role, platform_name, platform_number};
pub use tickets::{TICKET_LIFE, TICKETS_OF_USER, Tickets};
pub use token::{Claims, MAX_TOKEN_BYTES, Minted};
