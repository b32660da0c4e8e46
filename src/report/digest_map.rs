//! What a run remembers of each subject that it reported, more of them than memory should hold.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::ReportError;
use super::csv_file::{not_writable, unreadable};

/// Subjects that are held in memory; together with what is kept to find the others again, some ten megabytes for each
/// million on disk at most.
const RECENT_MAX: usize = 100_000;
const KEY: usize = 16;
const RECORD: usize = KEY + 2 * size_of::<u64>();
/// Records that one read brings: four kilobytes.
const BLOCK_RECORDS: usize = 128;
/// One absent key in a hundred is looked for on disk in vain.
const FILTER_BITS_PER_KEY: u64 = 10;
const FILTER_PROBES: u64 = 7;

/// The digest of a subject. Evenly spread, as digests are.
pub type SubjectDigest = [u8; KEY];

/// Two numbers by digest. What is new lies in memory; once that is full it goes, sorted, to the end of a file that has no
/// name and is gone with the process. Of what lies there eleven bits are held for each digest.
#[derive(Debug)]
pub struct DigestMap {
    recent: HashMap<SubjectDigest, [u64; 2]>,
    recent_max: usize,
    runs: Vec<Run>,
    file: Option<File>,
    path: PathBuf,
}

/// Sorted records, one after the other.
#[derive(Debug)]
struct Run {
    /// Where it begins in the file, in records.
    begin: u64,
    records: usize,
    /// The first key of each block.
    firsts: Vec<SubjectDigest>,
    filter: Filter,
}

/// A Bloom filter: says of a key that it is certainly not there, or that it may be.
#[derive(Debug)]
struct Filter(Vec<u64>);

impl DigestMap {
    /// The file, if one is needed, is made in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self::with_recent_max(folder, RECENT_MAX)
    }

    pub(super) fn with_recent_max(folder: &Path, recent_max: usize) -> Self {
        Self {
            recent: HashMap::new(),
            recent_max,
            runs: Vec::new(),
            file: None,
            path: folder.join(format!(".subjects-{}", Uuid::now_v7())),
        }
    }

    /// Sets what is remembered, and gives what was before.
    pub fn insert(
        &mut self,
        key: SubjectDigest,
        value: [u64; 2],
    ) -> Result<Option<[u64; 2]>, ReportError> {
        let before = match self.recent.get(&key) {
            Some(value) => Some(*value),
            None => self.on_disk(&key)?,
        };
        self.recent.insert(key, value);
        if self.recent.len() >= self.recent_max {
            self.spill().map_err(not_writable(&self.path))?;
        }
        Ok(before)
    }

    /// The newest run that has the key is the one that counts.
    fn on_disk(&self, key: &SubjectDigest) -> Result<Option<[u64; 2]>, ReportError> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        for run in self
            .runs
            .iter()
            .rev()
            .filter(|run| run.filter.may_hold(key))
        {
            let found = run.find(file, key).map_err(unreadable(&self.path))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            options.create_new(true).read(true).write(true).mode(0o600);
            self.file = Some(options.open(&self.path)?);
            // Nobody else needs it, and a killed run leaves none behind.
            std::fs::remove_file(&self.path)?;
        }
        let file = self.file.as_ref().expect("it was just made");
        let mut records: Vec<(SubjectDigest, [u64; 2])> = self.recent.drain().collect();
        records.sort_unstable();
        let begin = self.runs.last().map_or(0, Run::end);
        let mut bytes = Vec::with_capacity(records.len() * RECORD);
        for (key, [first, second]) in &records {
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(&first.to_le_bytes());
            bytes.extend_from_slice(&second.to_le_bytes());
        }
        file.write_all_at(&bytes, begin * RECORD as u64)?;
        let blocks = records.chunks(BLOCK_RECORDS);
        self.runs.push(Run {
            begin,
            records: records.len(),
            firsts: blocks.map(|block| block[0].0).collect(),
            filter: Filter::of(records.iter().map(|(key, _)| key)),
        });
        Ok(())
    }
}

impl Run {
    fn end(&self) -> u64 {
        self.begin + self.records as u64
    }

    fn find(&self, file: &File, key: &SubjectDigest) -> io::Result<Option<[u64; 2]>> {
        let Some(block) = self
            .firsts
            .partition_point(|first| first <= key)
            .checked_sub(1)
        else {
            return Ok(None);
        };
        let first = block * BLOCK_RECORDS;
        let count = BLOCK_RECORDS.min(self.records - first);
        let mut bytes = [0; BLOCK_RECORDS * RECORD];
        let bytes = &mut bytes[..count * RECORD];
        file.read_exact_at(bytes, (self.begin + first as u64) * RECORD as u64)?;
        let records: Vec<&[u8]> = bytes.chunks_exact(RECORD).collect();
        let found = records.binary_search_by(|record| record[..KEY].cmp(key));
        Ok(found.ok().map(|at| {
            let record = records[at];
            [number(&record[KEY..]), number(&record[KEY + 8..])]
        }))
    }
}

impl Filter {
    fn of<'k>(keys: impl ExactSizeIterator<Item = &'k SubjectDigest>) -> Self {
        let words = (keys.len() as u64 * FILTER_BITS_PER_KEY)
            .div_ceil(64)
            .max(1);
        let mut filter = Self(vec![0; words as usize]);
        for key in keys {
            for bit in filter.bits(key) {
                filter.0[(bit / 64) as usize] |= 1 << (bit % 64);
            }
        }
        filter
    }

    fn may_hold(&self, key: &SubjectDigest) -> bool {
        self.bits(key)
            .into_iter()
            .all(|bit| self.0[(bit / 64) as usize] & (1 << (bit % 64)) != 0)
    }

    /// A digest is as good as two hashes, of which any number can be made. (Kirsch, Mitzenmacher: Less Hashing, Same
    /// Performance, 2006.)
    fn bits(&self, key: &SubjectDigest) -> [u64; FILTER_PROBES as usize] {
        let (one, other) = (number(key), number(&key[8..]) | 1);
        let bits = self.0.len() as u64 * 64;
        std::array::from_fn(|probe| one.wrapping_add(other.wrapping_mul(probe as u64)) % bits)
    }
}

/// The number that `bytes` begin with.
fn number(bytes: &[u8]) -> u64 {
    let bytes = bytes[..8].try_into().expect("it was cut to eight");
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::collections::HashMap;

    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    fn key(of: u32) -> SubjectDigest {
        Sha256::digest(of.to_be_bytes())[..KEY].try_into().unwrap()
    }

    proptest! {
        #[test]
        fn it_remembers_like_a_map_in_memory(
            pushed in proptest::collection::vec((0_u32..60, any::<[u64; 2]>()), 0..300),
            recent_max in 1_usize..40,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut map = DigestMap::with_recent_max(folder.path(), recent_max);
            let mut expected = HashMap::new();
            for (subject, value) in pushed {
                let before = map.insert(key(subject), value).unwrap();
                prop_assert_eq!(before, expected.insert(subject, value));
            }
            prop_assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "no name is left");
        }
    }

    #[test]
    fn of_many_subjects_few_bytes_are_held() {
        const SUBJECTS: u32 = 100_000;
        let folder = tempfile::tempdir().unwrap();
        let mut map = DigestMap::with_recent_max(folder.path(), 1_000);
        for subject in 0..SUBJECTS {
            assert_eq!(map.insert(key(subject), [1, 2]).unwrap(), None);
            assert!(map.recent.len() < 1_000);
        }
        let held: usize = map
            .runs
            .iter()
            .map(|r| r.firsts.len() * KEY + r.filter.0.len() * 8)
            .sum();
        assert!(
            held < 2 * SUBJECTS as usize,
            "{held} bytes for {SUBJECTS} subjects on disk"
        );
        let mut in_vain = 0;
        for subject in SUBJECTS..SUBJECTS + 1_000 {
            in_vain += map
                .runs
                .iter()
                .filter(|run| run.filter.may_hold(&key(subject)))
                .count();
        }
        let asked = 1_000 * map.runs.len();
        assert!(
            in_vain * 50 < asked,
            "{in_vain} of {asked} looked for in vain"
        );
        for subject in [0, 1_234, SUBJECTS - 1] {
            assert_eq!(map.insert(key(subject), [3, 4]).unwrap(), Some([1, 2]));
        }
    }
}
