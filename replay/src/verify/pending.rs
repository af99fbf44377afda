//! Rows on their way to a database that takes them in bulk. Knows nothing of the database.

use hashbrown::HashMap;
use waybill_core::state::{Family, Key, Value};

/// What names a row.
pub(crate) type Name = (Family, Key);

/// Bytes that a row occupies here besides its value, about.
const ROW_BYTES: usize = 112;

fn bytes(value: Option<&Value>) -> usize {
    ROW_BYTES + value.map_or(0, Vec::len)
}

/// A change as a database takes it: `None` removes the row.
pub(crate) type Change<'r> = (Family, &'r Key, Option<&'r [u8]>);

fn change<'r>((family, key): &'r Name, value: &'r Option<Value>) -> Change<'r> {
    (*family, key, value.as_deref())
}

/// Rows that are written once and seldom asked for: a list, and an index over it that is only made when one is.
pub(crate) struct Pending {
    most_bytes: usize,
    bytes: usize,
    /// With the number of each change.
    rows: Vec<(Name, usize, Option<Value>)>,
    index: HashMap<Name, usize>,
    indexed: usize,
}

impl Pending {
    /// Is full with about so many bytes.
    pub fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            bytes: 0,
            rows: Vec::new(),
            index: HashMap::new(),
            indexed: 0,
        }
    }

    pub fn push(&mut self, name: Name, value: Option<Value>) {
        self.bytes += bytes(value.as_ref());
        self.rows.push((name, self.rows.len(), value));
    }

    pub fn is_full(&self) -> bool {
        self.bytes >= self.most_bytes
    }

    /// What it says of a row; `None` for nothing.
    pub fn get(&mut self, name: &Name) -> Option<Option<Value>> {
        for (name, at, _) in self.rows.iter().skip(self.indexed) {
            self.index.insert(*name, *at);
        }
        self.indexed = self.rows.len();
        let at = self.index.get(name)?;
        self.rows.get(*at).map(|(.., value)| value.clone())
    }

    /// Everything, ascending, one change for each row. [`Pending::clear`] afterwards.
    pub fn sorted(&mut self) -> impl Iterator<Item = Change<'_>> {
        // Of several changes of one row the latest counts: it comes first.
        self.rows
            .sort_unstable_by(|(one, at, _), (other, later, _)| {
                one.cmp(other).then_with(|| later.cmp(at))
            });
        self.rows
            .chunk_by(|(one, ..), (other, ..)| one == other)
            .filter_map(<[_]>::first)
            .map(|(name, _, value)| change(name, value))
    }

    /// Takes everything out. The memory stays here: to ask the system for it again costs as much as the sorting.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.index.clear();
        (self.bytes, self.indexed) = (0, 0);
    }
}

/// Rows that change again and again, in two generations: what is used is in the young one. When that is full, it becomes the
/// old one, and what changed and is still in the old one before it leaves.
pub(crate) struct Generations {
    most_bytes: usize,
    bytes: usize,
    young: HashMap<Name, Cached>,
    old: HashMap<Name, Cached>,
}

struct Cached {
    value: Option<Value>,
    changed: bool,
}

impl Generations {
    /// Holds about so many bytes.
    pub fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            bytes: 0,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// What they say of a row; `None` for nothing.
    pub fn get(&mut self, name: &Name) -> Option<Option<Value>> {
        if let Some(cached) = self.young.get(name) {
            return Some(cached.value.clone());
        }
        let cached = self.old.remove(name)?;
        let value = cached.value.clone();
        self.insert(*name, cached);
        Some(value)
    }

    /// Keeps a row as the database has it.
    pub fn remember(&mut self, name: Name, value: Option<Value>) {
        let changed = false;
        self.insert(name, Cached { value, changed });
    }

    /// Changes a row.
    pub fn change(&mut self, name: Name, value: Option<Value>) {
        if let Some(cached) = self.young.get_mut(&name) {
            (cached.value, cached.changed) = (value, true);
            return;
        }
        self.old.remove(&name);
        let changed = true;
        self.insert(name, Cached { value, changed });
    }

    fn insert(&mut self, name: Name, cached: Cached) {
        self.bytes += bytes(cached.value.as_ref());
        self.young.insert(name, cached);
    }

    /// Whether the young generation is full: then the [`Generations::leaving`] are to be written, and
    /// [`Generations::turn`] called.
    pub fn is_full(&self) -> bool {
        self.bytes >= self.most_bytes / 2
    }

    /// What changed and is in the old generation, ascending.
    pub fn leaving(&self) -> impl Iterator<Item = Change<'_>> {
        let changed = self.old.iter().filter(|(_, row)| row.changed);
        let mut changed: Vec<Change<'_>> = changed
            .map(|(name, row)| change(name, &row.value))
            .collect();
        changed.sort_unstable_by(|(one, key, _), (other, other_key, _)| {
            one.cmp(other).then_with(|| key.cmp(other_key))
        });
        changed.into_iter()
    }

    /// Forgets the old generation and makes the young one the old one.
    pub fn turn(&mut self) {
        self.old.clear();
        std::mem::swap(&mut self.old, &mut self.young);
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_core::id::Position;
    use waybill_core::state::RowKey;

    fn name(n: u64) -> Name {
        (Family::Erased, Position(n).key())
    }

    /// Changes as (n, value).
    fn plain<'r>(changes: impl Iterator<Item = Change<'r>>) -> Vec<(u64, Option<u8>)> {
        changes
            .map(|(family, key, value)| {
                assert_eq!(family, Family::Erased);
                (u64::from(key.as_slice()[7]), value.map(|value| value[0]))
            })
            .collect()
    }

    #[test]
    fn the_last_change_of_a_pending_row_counts() {
        let mut pending = Pending::new(1000);
        assert_eq!(pending.get(&name(1)), None);
        for (n, value) in [(2, Some(vec![1])), (1, Some(vec![2])), (3, None)] {
            pending.push(name(n), value);
        }
        assert_eq!(pending.get(&name(2)), Some(Some(vec![1])));
        assert_eq!(pending.get(&name(3)), Some(None));
        for (n, value) in [
            (2, Some(vec![3])),
            (1, None),
            (3, Some(vec![4])),
            (2, Some(vec![5])),
        ] {
            pending.push(name(n), value);
        }
        assert_eq!(pending.get(&name(2)), Some(Some(vec![5])));
        let expected = [(1, None), (2, Some(5)), (3, Some(4))];
        assert_eq!(plain(pending.sorted()), expected);
        pending.clear();
        assert_eq!(pending.get(&name(2)), None);
        assert_eq!(plain(pending.sorted()), []);
    }

    #[test]
    fn what_is_used_stays_and_what_changed_leaves() {
        let mut rows = Generations::new(2 * 3 * (ROW_BYTES + 1));
        for n in 1..=3 {
            assert!(!rows.is_full());
            rows.change(name(n), Some(vec![1]));
        }
        assert!(rows.is_full());
        assert_eq!(plain(rows.leaving()), []);
        rows.turn();
        // 1 is used, 2 is changed, 4 and 5 are only read; 3 leaves.
        assert_eq!(rows.get(&name(1)), Some(Some(vec![1])));
        rows.change(name(2), Some(vec![2]));
        rows.remember(name(4), Some(vec![4]));
        assert_eq!(plain(rows.leaving()), [(3, Some(1))]);
        rows.turn();
        assert_eq!(rows.get(&name(3)), None);
        rows.remember(name(5), None);
        assert_eq!(rows.get(&name(5)), Some(None));
        rows.change(name(1), Some(vec![9]));
        assert_eq!(rows.get(&name(1)), Some(Some(vec![9])));
        assert_eq!(plain(rows.leaving()), [(2, Some(2))]);
        rows.turn();
        assert_eq!(plain(rows.leaving()), [(1, Some(9))]);
    }
}
