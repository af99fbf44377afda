//! OpenIM's dialects: translate its requests to commands and its answers from outcomes. No rule of the domain lives here.

pub mod go;
pub mod v2;
