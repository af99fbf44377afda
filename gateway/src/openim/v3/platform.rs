//! Platforms by their numbers: OpenIM v3 has more of them than tokens know.

use crate::registry::Registry;

/// The number that tokens have for a platform of OpenIM v3; `None` when there is no such platform. Tablets are told from phones
/// by v3 alone, and so is HarmonyOS.
#[must_use]
pub fn native(platform: u8) -> Option<u8> {
    Some(match platform {
        1..=7 => platform,
        // Android pad, iPad, administrator, HarmonyOS.
        8 | 11 => 2,
        9 => 1,
        10 => 8,
        _ => return None,
    })
}

/// The number that OpenIM v3 has for a platform of a token.
#[must_use]
pub fn shown(platform: u8) -> u8 {
    if platform == 8 { 10 } else { platform }
}

/// The platforms, by OpenIM v3's numbers, on which a user is connected now; each once, ascending.
#[must_use]
pub fn online(registry: &Registry, user: &str) -> Vec<u8> {
    let live = registry.of_user(user);
    let mut platforms: Vec<u8> = live.iter().map(|live| shown(live.platform)).collect();
    platforms.sort_unstable();
    platforms.dedup();
    platforms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_platform_has_a_number_in_tokens() {
        for platform in 1..=11 {
            let native = native(platform).unwrap();
            assert!(crate::auth::platform_name(native).is_some());
        }
        assert_eq!((native(0), native(12), native(255)), (None, None, None));
        assert_eq!((shown(5), shown(8)), (5, 10));
    }
}
