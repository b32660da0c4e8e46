//! Digests with places, more of them than memory should hold: cut by hash into partitions, and those onto disk.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// Partitions where nobody knows how much will come, and the fewest.
const PARTITIONS_MIN: u64 = 128;
/// So many files are still written and read back in seconds. With more records a partition takes several passes.
const PARTITIONS_MAX: u64 = 4_096;
/// What is read back at once: some megabytes.
const RECORDS_PER_PARTITION: u64 = 20_000;

/// What a spill may hold in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpillLimits {
    /// Bytes before the partitions go to disk.
    pub bytes_max: usize,
    /// Records of one pass over a partition; a longer partition takes several.
    pub records_per_pass: u64,
    /// Places of one digest and tag; more are only counted.
    pub places_max: usize,
}

impl Default for SpillLimits {
    fn default() -> Self {
        Self {
            bytes_max: 16 << 20,
            records_per_pass: 200_000,
            places_max: 10_000,
        }
    }
}

/// Records of a tag, a digest and a place, collected in any order and read back digest by digest.
///
/// Files lie in a folder of their own that only this user can read, made when the first one is needed and removed with
/// the spill. They hold places (ids of rows and entries) but no values.
#[derive(Debug)]
pub(super) struct Spill {
    folder: SpillFolder,
    limits: SpillLimits,
    partitions: Vec<Partition>,
    bytes: usize,
    lanes: [RandomState; 2],
}

#[derive(Debug, Default)]
struct Partition {
    buffer: Vec<u8>,
    records: u64,
    is_on_disk: bool,
}

/// Where the files lie; dropped, it takes them along.
#[derive(Debug)]
pub(super) struct SpillFolder {
    path: PathBuf,
    is_made: bool,
}

/// Everything that was pushed with one digest, sorted by tag and place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gathered {
    pub places: Vec<(u8, Vec<u8>)>,
    /// Places beyond the limit, per tag seen.
    pub more: u64,
}

struct Record {
    digest: u128,
    tag: u8,
    place: Vec<u8>,
}

impl Spill {
    /// Nothing is written below `parent` until memory is full.
    pub(super) fn create(parent: &Path, limits: SpillLimits) -> Self {
        Self {
            folder: SpillFolder {
                path: parent.join(format!("digests-{}", Uuid::now_v7())),
                is_made: false,
            },
            limits,
            partitions: partitions(0),
            bytes: 0,
            lanes: Default::default(),
        }
    }

    /// The same, for about this many records, so that each partition stays small. None may have been pushed yet.
    pub(super) fn expecting(self, records: u64) -> Self {
        debug_assert_eq!(self.bytes, 0, "what was pushed has its partition already");
        Self {
            partitions: partitions(records),
            ..self
        }
    }

    /// Keyed at random for each spill, so that nobody can choose values that meet.
    pub(super) fn digest(&self, value: impl Hash) -> u128 {
        let [high, low] = self.lanes.each_ref().map(|lane| lane.hash_one(&value));
        (u128::from(high) << 64) | u128::from(low)
    }

    pub(super) fn push(&mut self, tag: u8, digest: u128, place: &[u8]) -> io::Result<()> {
        let among = self.partitions.len();
        let partition = &mut self.partitions[(digest >> 96) as usize % among];
        let length = u32::try_from(place.len()).expect("a place is an id of a row or an entry");
        let before = partition.buffer.len();
        partition.buffer.push(tag);
        partition.buffer.extend_from_slice(&digest.to_le_bytes());
        partition.buffer.extend_from_slice(&length.to_le_bytes());
        partition.buffer.extend_from_slice(place);
        partition.records += 1;
        self.bytes += partition.buffer.len() - before;
        if self.bytes >= self.limits.bytes_max {
            self.flush()?;
        }
        Ok(())
    }

    /// Gives `each` the records of every digest, digest by digest, in no order. Afterwards the folder is left, for
    /// whatever else is to lie in it.
    pub(super) fn gather(
        mut self,
        mut each: impl FnMut(&mut SpillFolder, Vec<Gathered>) -> io::Result<()>,
    ) -> io::Result<SpillFolder> {
        for index in 0..self.partitions.len() {
            let partition = std::mem::take(&mut self.partitions[index]);
            let passes = partition
                .records
                .div_ceil(self.limits.records_per_pass.max(1));
            for pass in 0..passes {
                let records = self.records(index, &partition, pass, passes)?;
                let gathered = gathered(records, self.limits.places_max);
                each(&mut self.folder, gathered)?;
            }
            if partition.is_on_disk {
                fs::remove_file(self.folder.file(index))?;
            }
        }
        Ok(self.folder)
    }

    /// No file stays open: there may be more partitions than a process may have files.
    fn flush(&mut self) -> io::Result<()> {
        self.folder.make()?;
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            if partition.buffer.is_empty() {
                continue;
            }
            let path = self.folder.file(index);
            append(&path, &partition.buffer).map_err(|fault| at(&path, fault))?;
            partition.buffer.clear();
            partition.is_on_disk = true;
        }
        self.bytes = 0;
        Ok(())
    }

    /// The records of one pass: those whose digest falls to it.
    fn records(
        &self,
        index: usize,
        partition: &Partition,
        pass: u64,
        passes: u64,
    ) -> io::Result<Vec<Record>> {
        let path = self.folder.file(index);
        let file: Box<dyn Read> = match partition.is_on_disk {
            true => Box::new(File::open(&path).map_err(|fault| at(&path, fault))?),
            false => Box::new(io::empty()),
        };
        let mut input = BufReader::with_capacity(1 << 16, file.chain(partition.buffer.as_slice()));
        let mut counts: HashMap<(u128, u8), usize, BuildHasherDefault<OfDigest>> =
            HashMap::default();
        let mut records = Vec::new();
        for _ in 0..partition.records {
            let record = read_record(&mut input).map_err(|fault| at(&path, fault))?;
            if (record.digest as u64) % passes != pass {
                continue;
            }
            let count = counts.entry((record.digest, record.tag)).or_default();
            *count += 1;
            // The one beyond the limit is a mark without a place.
            if *count <= self.limits.places_max {
                records.push(record);
            }
        }
        let over = counts
            .into_iter()
            .filter(|(_, count)| *count > self.limits.places_max);
        for ((digest, tag), count) in over {
            let more = (count - self.limits.places_max) as u64;
            records.push(Record {
                digest,
                tag: tag | MORE,
                place: more.to_le_bytes().to_vec(),
            });
        }
        Ok(records)
    }
}

/// Digests are keyed at random already; hashing them again would gain nothing.
#[derive(Debug, Default)]
struct OfDigest(u64);

impl Hasher for OfDigest {
    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    /// The high half: the low one says which pass a record belongs to.
    fn write_u128(&mut self, digest: u128) {
        self.0 ^= (digest >> 64) as u64;
    }

    fn write_u64(&mut self, part: u64) {
        self.0 = self.0.rotate_left(8) ^ part;
    }

    fn write_u8(&mut self, tag: u8) {
        self.write_u64(u64::from(tag));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Set in the tag of a record that only counts.
const MORE: u8 = 0x80;

impl SpillFolder {
    pub(super) fn make(&mut self) -> io::Result<&Path> {
        if !self.is_made {
            DirBuilder::new()
                .mode(0o700)
                .recursive(true)
                .create(&self.path)
                .map_err(|fault| at(&self.path, fault))?;
            self.is_made = true;
        }
        Ok(&self.path)
    }

    fn file(&self, index: usize) -> PathBuf {
        self.path.join(format!("partition-{index}"))
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        if self.is_made
            && let Err(fault) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!("{} could not be removed: {fault}", self.path.display());
        }
    }
}

fn partitions(records: u64) -> Vec<Partition> {
    let wanted = records.div_ceil(RECORDS_PER_PARTITION);
    let count = wanted.clamp(PARTITIONS_MIN, PARTITIONS_MAX);
    (0..count).map(|_| Partition::default()).collect()
}

/// The path belongs to every fault of a disk.
pub(super) fn at(path: &Path, fault: io::Error) -> io::Error {
    io::Error::new(fault.kind(), format!("{}: {fault}", path.display()))
}

fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)?
        .write_all(bytes)
}

fn read_record(input: &mut impl Read) -> io::Result<Record> {
    let (mut tag, mut digest, mut length) = ([0; 1], [0; 16], [0; 4]);
    input.read_exact(&mut tag)?;
    input.read_exact(&mut digest)?;
    input.read_exact(&mut length)?;
    let mut place = vec![0; u32::from_le_bytes(length) as usize];
    input.read_exact(&mut place)?;
    Ok(Record {
        digest: u128::from_le_bytes(digest),
        tag: tag[0],
        place,
    })
}

fn gathered(mut records: Vec<Record>, places_max: usize) -> Vec<Gathered> {
    debug_assert!(places_max > 0, "a digest without a place names nothing");
    records.sort_unstable_by(|a, b| (a.digest, a.tag, &a.place).cmp(&(b.digest, b.tag, &b.place)));
    let mut all: Vec<(u128, Gathered)> = Vec::new();
    for record in records {
        if all
            .last()
            .is_none_or(|(digest, _)| *digest != record.digest)
        {
            let empty = Gathered {
                places: Vec::new(),
                more: 0,
            };
            all.push((record.digest, empty));
        }
        let (_, group) = all.last_mut().expect("one was just put there");
        match record.tag & MORE {
            0 => group.places.push((record.tag, record.place)),
            _ => {
                let count = record.place.try_into().expect("a count has eight bytes");
                group.more += u64::from_le_bytes(count);
            }
        }
    }
    all.into_iter().map(|(_, group)| group).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_long_partition_is_read_back_in_passes_that_memory_can_hold() {
        const RECORDS: u64 = 60_000;
        let folder = tempfile::tempdir().unwrap();
        let limits = SpillLimits {
            bytes_max: 1 << 20,
            records_per_pass: 50,
            places_max: 10,
        };
        let mut spill = Spill::create(folder.path(), limits);
        for n in 0..RECORDS {
            let digest = spill.digest(n);
            spill.push(0, digest, &n.to_le_bytes()).unwrap();
        }
        let (mut most, mut all) = (0, 0);
        spill
            .gather(|_, gathered| {
                most = most.max(gathered.len());
                all += gathered.len();
                Ok(())
            })
            .unwrap();
        assert_eq!(all as u64, RECORDS);
        assert!(most < 150, "{most} digests in a pass of about 50");
    }

    #[test]
    fn a_partition_stays_small_however_much_is_expected() {
        const RECORDS: u64 = 40_000;
        let folder = tempfile::tempdir().unwrap();
        let limits = SpillLimits {
            bytes_max: 1 << 20,
            ..SpillLimits::default()
        };
        // As many partitions as five hundred times the records would need.
        let mut spill =
            Spill::create(folder.path(), limits).expecting(1_000 * RECORDS_PER_PARTITION);
        for n in 0..RECORDS {
            let digest = spill.digest(n);
            spill.push(0, digest, &n.to_le_bytes()).unwrap();
        }
        let (mut most, mut all) = (0, 0);
        let gathered = spill.gather(|_, gathered| {
            most = most.max(gathered.len());
            all += gathered.len();
            Ok(())
        });
        gathered.unwrap();
        assert_eq!(all as u64, RECORDS);
        assert!(most < 100, "{most} digests in a partition of about 40");
    }
}
