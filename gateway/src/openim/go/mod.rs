//! How the original, a Go program, reads JSON: `encoding/json`, the validator of its web framework and the weak decoding
//! of `mapstructure`, as far as callers can see them, with their error texts. It knows JSON and shapes of requests; it
//! knows no endpoint.

pub mod bind;
pub mod members;
pub mod print;
pub mod scan;
pub mod text;
pub mod weak;
