//! Sorted runs of groups, merged: more groups than memory should hold, in the order of their first place.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};

use super::spill::{SpillFolder, at};

/// Places that share a digest, all of one tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub tag: u8,
    /// Sorted; two at least.
    pub places: Vec<Vec<u8>>,
    /// Places that were too many to be kept.
    pub more: u64,
}

/// Runs as they are made.
#[derive(Debug)]
pub(super) struct Runs {
    bytes_max: usize,
    held: Vec<Group>,
    held_bytes: usize,
    files: Vec<File>,
}

/// All groups, sorted by tag and first place.
#[derive(Debug)]
pub(super) struct Merged {
    inputs: Vec<Input>,
    heads: BinaryHeap<Reverse<(Group, usize)>>,
    fault: Option<io::Error>,
    /// Kept, so that the files live as long as somebody reads them.
    _folder: SpillFolder,
}

#[derive(Debug)]
enum Input {
    Memory(std::vec::IntoIter<Group>),
    Disk(BufReader<File>),
}

impl Runs {
    /// Groups of more than `bytes_max` go to disk.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            held: Vec::new(),
            held_bytes: 0,
            files: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, folder: &mut SpillFolder, group: Group) -> io::Result<()> {
        self.held_bytes += group.places.iter().map(|p| p.len() + 32).sum::<usize>();
        self.held.push(group);
        if self.held_bytes < self.bytes_max {
            return Ok(());
        }
        self.held.sort_unstable();
        let path = folder.make()?.join(format!("run-{}", self.files.len()));
        let file = write_run(&path, &self.held).map_err(|fault| at(&path, fault))?;
        self.files.push(file);
        self.held.clear();
        self.held_bytes = 0;
        Ok(())
    }

    pub(super) fn merge(mut self, folder: SpillFolder) -> io::Result<Merged> {
        self.held.sort_unstable();
        let files = self.files.into_iter();
        let mut merged = Merged {
            inputs: files
                .map(|file| Input::Disk(BufReader::new(file)))
                .chain([Input::Memory(self.held.into_iter())])
                .collect(),
            heads: BinaryHeap::new(),
            fault: None,
            _folder: folder,
        };
        for index in 0..merged.inputs.len() {
            merged.advance(index)?;
        }
        Ok(merged)
    }
}

impl Merged {
    fn advance(&mut self, index: usize) -> io::Result<()> {
        let next = match &mut self.inputs[index] {
            Input::Memory(groups) => groups.next(),
            Input::Disk(file) => read_group(file)?,
        };
        self.heads.extend(next.map(|group| Reverse((group, index))));
        Ok(())
    }
}

impl Iterator for Merged {
    type Item = io::Result<Group>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(fault) = self.fault.take() {
            self.heads.clear();
            return Some(Err(fault));
        }
        let Reverse((group, index)) = self.heads.pop()?;
        // This one is whole; the fault of the next is told when it would be its turn.
        self.fault = self.advance(index).err();
        Some(Ok(group))
    }
}

/// The file is open for reading from its start, and without a name: nobody else needs it.
fn write_run(path: &std::path::Path, groups: &[Group]) -> io::Result<File> {
    let mut file = File::options()
        .create_new(true)
        .read(true)
        .write(true)
        .open(path)?;
    std::fs::remove_file(path)?;
    let mut output = BufWriter::new(&file);
    for group in groups {
        output.write_all(&[1, group.tag])?;
        output.write_all(&group.more.to_le_bytes())?;
        output.write_all(&(group.places.len() as u64).to_le_bytes())?;
        for place in &group.places {
            output.write_all(&(place.len() as u64).to_le_bytes())?;
            output.write_all(place)?;
        }
    }
    output.write_all(&[0])?;
    output.flush()?;
    drop(output);
    io::Seek::rewind(&mut file)?;
    Ok(file)
}

fn read_group(input: &mut impl Read) -> io::Result<Option<Group>> {
    let [is_there] = read(input)?;
    if is_there == 0 {
        return Ok(None);
    }
    let [tag] = read(input)?;
    let more = u64::from_le_bytes(read(input)?);
    let count = u64::from_le_bytes(read(input)?);
    let mut places = Vec::new();
    for _ in 0..count {
        let mut place = vec![0; u64::from_le_bytes(read(input)?) as usize];
        input.read_exact(&mut place)?;
        places.push(place);
    }
    Ok(Some(Group { tag, places, more }))
}

fn read<const LENGTH: usize>(input: &mut impl Read) -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
