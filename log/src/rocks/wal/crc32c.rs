//! CRC-32C (Castagnoli) as RocksDB stores it with every fragment of a log: computed eight bytes at a
//! time from tables, and masked. Knows nothing of files, blocks or fragments.

/// The reflected Castagnoli polynomial.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// What RocksDB adds when it masks a checksum (`util/crc32c.h`, `kMaskDelta`).
const MASK_DELTA: u32 = 0xa282_ead8;

/// `TABLES[k][b]`: what byte `b` contributes when `k` more bytes follow it in its group of eight.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0u32; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut byte = 0;
        while byte < 256 {
            let shorter = tables[k - 1][byte];
            tables[k][byte] = (shorter >> 8) ^ tables[0][(shorter & 0xff) as usize];
            byte += 1;
        }
        k += 1;
    }
    tables
}

/// The CRC-32C of `data`.
pub fn checksum(data: &[u8]) -> u32 {
    let (groups, rest) = data.as_chunks::<8>();
    let mut crc = !0u32;
    for g in groups {
        let low = crc ^ u32::from_le_bytes([g[0], g[1], g[2], g[3]]);
        crc = TABLES[7][(low & 0xff) as usize]
            ^ TABLES[6][(low >> 8 & 0xff) as usize]
            ^ TABLES[5][(low >> 16 & 0xff) as usize]
            ^ TABLES[4][(low >> 24) as usize]
            ^ TABLES[3][g[4] as usize]
            ^ TABLES[2][g[5] as usize]
            ^ TABLES[1][g[6] as usize]
            ^ TABLES[0][g[7] as usize];
    }
    for &byte in rest {
        crc = (crc >> 8) ^ TABLES[0][((crc ^ u32::from(byte)) & 0xff) as usize];
    }
    !crc
}

/// The CRC-32C of `data` as RocksDB stores it: rotated and shifted by a constant, because a checksum
/// over bytes that hold checksums of themselves is weak.
pub fn masked(data: &[u8]) -> u32 {
    checksum(data).rotate_right(15).wrapping_add(MASK_DELTA)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One bit after the other, as the definition has it.
    fn by_definition(data: &[u8]) -> u32 {
        let mut crc = !0u32;
        for &byte in data {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 {
                    (crc >> 1) ^ POLYNOMIAL
                } else {
                    crc >> 1
                };
            }
        }
        !crc
    }

    #[test]
    fn known_answers() {
        // RFC 3720 (iSCSI), appendix B.4, and the check value of the CRC catalogue.
        let rising: Vec<u8> = (0..32).collect();
        let falling: Vec<u8> = (0..32).rev().collect();
        let mut read_command = [0u8; 48];
        for (at, byte) in [
            (0, 0x01),
            (1, 0xc0),
            (16, 0x14),
            (22, 0x04),
            (27, 0x14),
            (31, 0x18),
            (32, 0x28),
            (40, 0x02),
        ] {
            read_command[at] = byte;
        }
        assert_eq!(checksum(b""), 0);
        assert_eq!(checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(checksum(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(checksum(&rising), 0x46dd_794e);
        assert_eq!(checksum(&falling), 0x113f_db5c);
        assert_eq!(checksum(&read_command), 0xd996_3a56);
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
    }

    proptest! {
        #[test]
        fn eight_at_a_time_equals_the_definition(data in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(checksum(&data), by_definition(&data));
        }
    }
}
