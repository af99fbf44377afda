//! What of one file's content is not durable yet, as the old bytes of every page changed since. It knows
//! bytes of an open file; it knows nothing of names, requests or the kernel.
//!
//! Changes gather in a layer. A sync seals the newest layer when it begins and drops all layers up to it
//! when it succeeds, so what is written while a sync is under way waits for the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::Survivors;
use crate::dice::Dice;

/// What the page cache writes as a whole, in bytes.
const PAGE: u64 = 4096;
/// What a disk writes as a whole, in bytes.
const SECTOR: u64 = 512;

/// The changes of one file that no sync has covered. `Default` is a file that is durable as it stands.
#[derive(Default)]
pub(super) struct Content {
    /// Oldest first. Only the last can be unsealed.
    layers: Vec<Layer>,
    /// Pages that a failed sync gave up: the page cache calls them clean, the disk never got them. Only
    /// rewriting such a page and syncing again makes it durable.
    given_up: BTreeMap<u64, Vec<u8>>,
    next_ticket: u64,
}

struct Layer {
    ticket: u64,
    sealed: bool,
    /// Size of the file when the layer began.
    size: u64,
    /// Page number → its bytes when the layer began, cut off at `size`.
    pages: BTreeMap<u64, Vec<u8>>,
}

/// Names the layers that a sync covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

fn pages_of(range: Range<u64>) -> Range<u64> {
    range.start / PAGE..range.end.div_ceil(PAGE)
}

/// Reads until `buffer` is full or the file ends.
fn read_up_to(file: &File, mut offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset)? {
            0 => break,
            count => {
                filled += count;
                offset += count as u64;
            }
        }
    }
    Ok(filled)
}

impl Content {
    pub(super) fn is_durable(&self) -> bool {
        self.layers.is_empty() && self.given_up.is_empty()
    }

    /// Must be called before bytes of `range` or the size are changed; `size` is the size until then.
    pub(super) fn before_change(
        &mut self,
        file: &File,
        size: u64,
        range: Range<u64>,
    ) -> io::Result<()> {
        if self.layers.last().is_none_or(|layer| layer.sealed) {
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            self.layers.push(Layer {
                ticket,
                sealed: false,
                size,
                pages: BTreeMap::new(),
            });
        }
        let Some(layer) = self.layers.last_mut() else {
            return Ok(());
        };
        for page in pages_of(range.start..range.end.min(layer.size)) {
            if layer.pages.contains_key(&page) {
                continue;
            }
            let mut old = vec![0; PAGE.min(layer.size - page * PAGE) as usize];
            read_up_to(file, page * PAGE, &mut old)?;
            layer.pages.insert(page, old);
        }
        Ok(())
    }

    /// A sync begins. `None`: there is nothing that it could make durable.
    pub(super) fn seal(&mut self) -> Option<Ticket> {
        let layer = self.layers.last_mut()?;
        layer.sealed = true;
        Some(Ticket(layer.ticket))
    }

    /// The sync that took `ticket` has succeeded.
    pub(super) fn synced(&mut self, ticket: Ticket) {
        for layer in self.take_up_to(ticket) {
            // A page from `layer.size` on had been cut off before it was written again.
            self.given_up
                .retain(|page, _| !layer.pages.contains_key(page) && page * PAGE < layer.size);
        }
    }

    /// The sync that took `ticket` has failed: its pages count as clean from now on and never reach the
    /// disk by themselves, which is what Linux does. `size` is the size now.
    pub(super) fn sync_failed(&mut self, ticket: Ticket, size: u64) {
        let count = self
            .layers
            .iter()
            .take_while(|layer| layer.ticket <= ticket.0)
            .count();
        let size_then = self.layers.get(count).map_or(size, |layer| layer.size);
        let lost: Vec<(u64, Vec<u8>)> = self
            .changed_pages(0..count, size_then)
            .into_iter()
            .map(|page| (page, self.durable_page(page)))
            .collect();
        self.take_up_to(ticket);
        for (page, old) in lost {
            self.given_up.entry(page).or_insert(old);
        }
    }

    fn take_up_to(&mut self, ticket: Ticket) -> Vec<Layer> {
        let count = self
            .layers
            .iter()
            .take_while(|layer| layer.ticket <= ticket.0)
            .count();
        self.layers.drain(..count).collect()
    }

    /// Pages whose bytes may differ between before the first and after the last of these layers.
    fn changed_pages(&self, layers: Range<usize>, size: u64) -> BTreeSet<u64> {
        let layers = &self.layers[layers];
        let mut pages: BTreeSet<u64> = layers
            .iter()
            .flat_map(|layer| layer.pages.keys().copied())
            .collect();
        if let Some(oldest) = layers.first() {
            // The page that the old size lies in was only changed if its bytes were kept.
            pages.extend(oldest.size.div_ceil(PAGE)..size.div_ceil(PAGE));
        }
        pages
    }

    /// A page as the disk has it, filled up with zeros. Only for pages that have changed.
    fn durable_page(&self, page: u64) -> Vec<u8> {
        let size = self.layers.first().map_or(u64::MAX, |layer| layer.size);
        let old = self
            .given_up
            .get(&page)
            .or_else(|| self.layers.iter().find_map(|layer| layer.pages.get(&page)));
        let known = size.saturating_sub(page * PAGE).min(PAGE) as usize;
        let mut bytes: Vec<u8> = old.into_iter().flatten().copied().take(known).collect();
        bytes.resize(PAGE as usize, 0);
        bytes
    }

    /// Power is lost: of what is not durable only the survivors stay. The file is durable as it stands
    /// afterwards. Returns how many bytes of it are gone or differ from before.
    pub(super) fn power_cut(
        &mut self,
        file: &File,
        survivors: Survivors,
        dice: &mut Dice,
    ) -> io::Result<u64> {
        if self.is_durable() {
            return Ok(0);
        }
        let live = file.metadata()?.len();
        let durable = self.layers.first().map_or(live, |layer| layer.size);
        let mut pages = self.changed_pages(0..self.layers.len(), live);
        pages.extend(self.given_up.keys());
        let end = live.max(durable);
        let sectors: Vec<u64> = pages
            .iter()
            .flat_map(|page| (0..PAGE / SECTOR).map(move |part| page * (PAGE / SECTOR) + part))
            .filter(|sector| sector * SECTOR < end)
            .collect();

        let (kept, size) = choose(survivors, dice, &sectors, live, durable);
        file.set_len(end)?;
        let mut lost = live.saturating_sub(size);
        for sector in sectors.iter().filter(|sector| **sector * SECTOR < size) {
            let page = sector * SECTOR / PAGE;
            if kept.contains(sector) && !self.given_up.contains_key(&page) {
                continue;
            }
            let start = sector * SECTOR;
            let length = SECTOR.min(size - start) as usize;
            let within = (start - page * PAGE) as usize;
            let old = &self.durable_page(page)[within..within + length];
            let mut now = vec![0; length];
            read_up_to(file, start, &mut now)?;
            if now != old {
                lost += length as u64;
                file.write_all_at(old, start)?;
            }
        }
        file.set_len(size)?;
        *self = Content::default();
        Ok(lost)
    }
}

/// Which of the changed sectors survive, and the size that does.
fn choose(
    survivors: Survivors,
    dice: &mut Dice,
    sectors: &[u64],
    live: u64,
    durable: u64,
) -> (BTreeSet<u64>, u64) {
    match survivors {
        Survivors::Nothing => (BTreeSet::new(), durable),
        Survivors::Prefix { .. } => {
            let count = dice.up_to(sectors.len() as u64) as usize;
            let kept = &sectors[..count];
            let reached = kept.last().map_or(0, |sector| (sector + 1) * SECTOR);
            let size = match count == sectors.len() {
                true => live,
                false if live < durable => durable,
                false => durable.max(reached.min(live)),
            };
            (kept.iter().copied().collect(), size)
        }
        Survivors::Scatter { .. } => {
            let kept = sectors.iter().copied().filter(|_| dice.coin()).collect();
            let size = match dice.coin() {
                true => live,
                false if live < durable => durable,
                false => durable + dice.up_to((live - durable) / SECTOR) * SECTOR,
            };
            (kept, size)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as a program sees it, with the record of what is durable.
    struct Probe {
        file: File,
        content: Content,
    }

    impl Probe {
        fn durable(bytes: &[u8]) -> Probe {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(bytes, 0).unwrap();
            Probe {
                file,
                content: Content::default(),
            }
        }

        fn write(&mut self, offset: u64, bytes: &[u8]) {
            let size = self.file.metadata().unwrap().len();
            let range = offset..offset + bytes.len() as u64;
            self.content.before_change(&self.file, size, range).unwrap();
            self.file.write_all_at(bytes, offset).unwrap();
        }

        fn set_len(&mut self, to: u64) {
            let size = self.file.metadata().unwrap().len();
            self.content
                .before_change(&self.file, size, to.min(size)..size)
                .unwrap();
            self.file.set_len(to).unwrap();
        }

        fn sync(&mut self) {
            if let Some(ticket) = self.content.seal() {
                self.content.synced(ticket);
            }
        }

        fn sync_fails(&mut self) {
            let size = self.file.metadata().unwrap().len();
            let ticket = self.content.seal().unwrap();
            self.content.sync_failed(ticket, size);
        }

        fn cut(&mut self, survivors: Survivors) -> (Vec<u8>, u64) {
            let seed = match survivors {
                Survivors::Nothing => 0,
                Survivors::Prefix { seed } | Survivors::Scatter { seed } => seed,
            };
            let lost = self
                .content
                .power_cut(&self.file, survivors, &mut Dice::new(seed))
                .unwrap();
            assert!(self.content.is_durable());
            (self.bytes(), lost)
        }

        fn bytes(&self) -> Vec<u8> {
            let mut bytes = vec![0; self.file.metadata().unwrap().len() as usize];
            self.file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        }
    }

    #[test]
    fn an_append_is_forgotten_and_a_synced_append_stays() {
        let mut probe = Probe::durable(b"one ");
        probe.write(4, b"two ");
        probe.sync();
        probe.write(8, &[7; 10_000]);
        assert_eq!(
            probe.cut(Survivors::Nothing),
            (b"one two ".to_vec(), 10_000)
        );
    }

    #[test]
    fn overwriting_and_truncating_are_undone() {
        let old: Vec<u8> = (0..20_000u32).map(|n| (n % 251) as u8).collect();
        let mut probe = Probe::durable(&old);
        probe.write(5_000, &[1; 6_000]);
        probe.set_len(4_100);
        probe.set_len(9_000);
        probe.write(8_500, &[2; 30_000]);
        assert_eq!(probe.cut(Survivors::Nothing).0, old);
    }

    #[test]
    fn bytes_before_a_hole_stay() {
        let mut probe = Probe::durable(b"kept");
        probe.write(5_000, b"x");
        assert_eq!(probe.cut(Survivors::Nothing).0, b"kept");
    }

    #[test]
    fn what_is_written_during_a_sync_waits_for_the_next() {
        let mut probe = Probe::durable(b"a");
        probe.write(1, b"b");
        let ticket = probe.content.seal().unwrap();
        probe.write(0, b"X");
        probe.write(2, b"c");
        probe.content.synced(ticket);
        assert_eq!(probe.cut(Survivors::Nothing).0, b"ab");
    }

    #[test]
    fn a_sync_cut_short_covers_nothing() {
        let mut probe = Probe::durable(b"a");
        probe.write(1, b"b");
        probe.content.seal().unwrap();
        probe.write(2, b"c");
        assert_eq!(probe.cut(Survivors::Nothing).0, b"a");
    }

    #[test]
    fn after_a_failed_sync_a_later_one_saves_only_what_was_written_again() {
        let mut probe = Probe::durable(&[1; 8192]);
        probe.write(0, &[2; 8192]);
        probe.write(8192, &[2; 4096]);
        probe.sync_fails();
        probe.write(4096, &[3; 10]);
        probe.sync();
        let (bytes, _) = probe.cut(Survivors::Nothing);
        assert_eq!(&bytes[..4096], &[1; 4096], "given up");
        assert_eq!(&bytes[4096..4106], &[3; 10], "written again and synced");
        assert_eq!(&bytes[4106..8192], &[2; 4086], "of the same page");
        assert_eq!(
            &bytes[8192..],
            &[0; 4096],
            "the size is known, the bytes never came"
        );
    }

    #[test]
    fn a_prefix_of_the_appended_sectors_survives() {
        let mut lengths = BTreeSet::new();
        for seed in 0..40 {
            let mut probe = Probe::durable(&[1; 300]);
            probe.write(300, &[2; 5_000]);
            let (bytes, lost) = probe.cut(Survivors::Prefix { seed });
            assert_eq!(&bytes[..300], &[1; 300]);
            assert!(
                bytes[300..].iter().all(|byte| *byte == 2),
                "a prefix has no hole"
            );
            assert!(bytes.len() == 300 || bytes.len() == 5_300 || bytes.len() % 512 == 0);
            assert_eq!(lost as usize, 5_300 - bytes.len());
            lengths.insert(bytes.len());
        }
        assert!(lengths.len() > 5, "seeds differ: {lengths:?}");
    }

    #[test]
    fn scattered_sectors_are_whole_and_old_or_new() {
        let mut both = 0;
        for seed in 0..40 {
            let mut probe = Probe::durable(&[1; 8192]);
            probe.write(1024, &[2; 10_000]);
            let (bytes, _) = probe.cut(Survivors::Scatter { seed });
            assert!(bytes.len() >= 8192);
            assert_eq!(&bytes[..1024], &[1; 1024]);
            let mut seen = BTreeSet::new();
            for (index, sector) in bytes.chunks(512).enumerate() {
                assert!(sector.iter().all(|byte| *byte == sector[0]) || index * 512 > 10_500);
                seen.insert(sector[0]);
            }
            both += usize::from(seen.contains(&1) && seen.contains(&2));
        }
        assert!(
            both > 30,
            "most cuts leave old and new sectors side by side"
        );
    }
}
