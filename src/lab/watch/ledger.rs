//! What the witness remembers, and what it objects to.

use std::collections::{BTreeMap, HashMap};

use super::monitor::Executed;
use crate::lab::app::CLOSING_QUEUE;

/// Who sent a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Writer {
    /// One of the application's connections.
    App,
    /// A server-side script: the application has none, so this is the auditor.
    Script,
    /// Any other connection: the auditor's, the lab's, a replica's.
    Other,
}

/// A write that moved something backwards, or put back what the application had already replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The server's clock as MONITOR prints it.
    pub time: String,
    pub writer: Writer,
    pub key: String,
    /// JSON pointer, hash field or member; empty for the value as a whole.
    pub field: String,
    pub before: String,
    pub after: String,
}

/// A command that changes a stream, its groups or their pending lists, by anyone but the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamWrite {
    /// The server's clock as MONITOR prints it.
    pub time: String,
    pub writer: Writer,
    /// The command's name in capitals.
    pub name: String,
    pub words: Vec<String>,
}

/// The commands of streams that change nothing. Every other one is taken to write, those of later servers too:
/// XREADGROUP and XAUTOCLAIM move a group and its pending list.
const STREAM_READS: [&str; 6] = ["XINFO", "XLEN", "XPENDING", "XRANGE", "XREAD", "XREVRANGE"];

/// A key and the field, member or pointer in it.
type Place = (String, String);

#[derive(Default)]
pub(super) struct Ledger {
    commands: BTreeMap<(Writer, String), u64>,
    /// The greatest value ever seen of what only grows, deletions notwithstanding.
    highest: HashMap<Place, i128>,
    /// Values without a direction, in order of execution; `None`: removed.
    values: HashMap<Place, Vec<(String, Writer, Option<String>)>>,
    violations: Vec<Violation>,
    stream_writes: Vec<StreamWrite>,
}

impl Ledger {
    pub(super) fn commands(&self) -> BTreeMap<(Writer, String), u64> {
        self.commands.clone()
    }

    pub(super) fn stream_writes(&self) -> Vec<StreamWrite> {
        self.stream_writes.clone()
    }

    pub(super) fn note(&mut self, executed: &Executed, writer: Writer) {
        let Some(name) = executed.words.first() else {
            return;
        };
        let name = String::from_utf8_lossy(name).to_ascii_uppercase();
        let words: Vec<String> = executed.words[1..]
            .iter()
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        match (name.as_str(), words.as_slice()) {
            ("SET", [key, value, ..]) | ("SETEX" | "PSETEX", [key, _, value]) => {
                self.note_string(executed, writer, key, value)
            }
            ("HSET" | "HMSET", [key, fields @ ..]) if is_auction_hash(key) => {
                for pair in fields.chunks_exact(2) {
                    self.note_field(executed, writer, key, &pair[0], &pair[1]);
                }
            }
            ("ZADD", [key, .., score, member]) if key == CLOSING_QUEUE => {
                self.note_value(
                    executed,
                    writer,
                    (key.clone(), member.clone()),
                    Some(score.clone()),
                );
            }
            ("ZREM", [key, members @ ..]) if key == CLOSING_QUEUE => {
                for member in members {
                    self.note_value(executed, writer, (key.clone(), member.clone()), None);
                }
            }
            (name, words) if writer != Writer::App && is_stream_write(name) => {
                self.stream_writes.push(StreamWrite {
                    time: executed.time.clone(),
                    writer,
                    name: name.to_owned(),
                    words: words.to_vec(),
                });
            }
            _ => {}
        }
        *self.commands.entry((writer, name)).or_default() += 1;
    }

    /// What was objected to as it came, and what only the whole history shows: a script's value without a
    /// direction must be the application's last one before it, or the next one (committed already, not
    /// yet written), because one customer's requests follow each other. Before the application's first
    /// write of a place nothing can be said of it.
    pub(super) fn violations(&self) -> Vec<Violation> {
        let mut all = self.violations.clone();
        for ((key, field), history) in &self.values {
            for (index, (time, writer, value)) in history.iter().enumerate() {
                let of_app = |entry: &&(String, Writer, Option<String>)| entry.1 == Writer::App;
                let before = history[..index].iter().rev().find(of_app);
                let after = history[index..].iter().find(of_app);
                let Some(before) = before.filter(|_| *writer != Writer::App) else {
                    continue;
                };
                if before.2 != *value && after.is_none_or(|after| after.2 != *value) {
                    all.push(Violation {
                        time: time.clone(),
                        writer: *writer,
                        key: key.clone(),
                        field: field.clone(),
                        before: before.2.clone().unwrap_or_default(),
                        after: value.clone().unwrap_or_default(),
                    });
                }
            }
        }
        all
    }

    /// A value that was there before the watch began.
    pub(super) fn begin_with(&mut self, key: &str, field: &str, value: &str) {
        if let Some((field, number)) = grows(key, field, value) {
            self.highest.insert((key.to_owned(), field), number);
        }
    }

    fn note_string(&mut self, executed: &Executed, writer: Writer, key: &str, value: &str) {
        if key.starts_with("user:") && key.ends_with(":balance") {
            self.note_value(
                executed,
                writer,
                (key.to_owned(), String::new()),
                Some(value.to_owned()),
            );
        } else {
            self.note_field(executed, writer, key, "", value);
        }
    }

    fn note_field(
        &mut self,
        executed: &Executed,
        writer: Writer,
        key: &str,
        field: &str,
        value: &str,
    ) {
        let Some((field, number)) = grows(key, field, value) else {
            return;
        };
        let highest = self
            .highest
            .entry((key.to_owned(), field.clone()))
            .or_insert(number);
        if number < *highest {
            self.violations.push(Violation {
                time: executed.time.clone(),
                writer,
                key: key.to_owned(),
                field,
                before: highest.to_string(),
                after: number.to_string(),
            });
        } else {
            *highest = number;
        }
    }

    fn note_value(
        &mut self,
        executed: &Executed,
        writer: Writer,
        place: Place,
        value: Option<String>,
    ) {
        self.values
            .entry(place)
            .or_default()
            .push((executed.time.clone(), writer, value));
    }
}

/// What of a value only ever grows, as a number with its name; `None` where nothing does.
fn grows(key: &str, field: &str, value: &str) -> Option<(String, i128)> {
    if key.starts_with("user:") && key.ends_with(":profile") {
        let document: serde_json::Value = serde_json::from_str(value).ok()?;
        return Some((
            "/version".into(),
            i128::from(document.get("version")?.as_u64()?),
        ));
    }
    if key.starts_with("auction:") && key.ends_with(":status") {
        let states = ["OPEN", "CLOSING", "CLOSED"];
        return Some((
            String::new(),
            states.iter().position(|state| *state == value)? as i128,
        ));
    }
    if is_auction_hash(key) && matches!(field, "currentPrice" | "totalBidCount") {
        return Some((field.to_owned(), value.parse().ok()?));
    }
    None
}

fn is_stream_write(name: &str) -> bool {
    name.starts_with('X') && !STREAM_READS.contains(&name)
}

fn is_auction_hash(key: &str) -> bool {
    key.strip_prefix("auction:")
        .is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::{Executed, Ledger, Writer};

    fn run(ledger: &mut Ledger, writer: Writer, words: &[&str]) {
        let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        ledger.note(
            &Executed {
                time: "1.0".into(),
                client: "lua".into(),
                words,
            },
            writer,
        );
    }

    #[test]
    fn a_lower_version_is_a_violation_also_after_a_deletion() {
        let mut ledger = Ledger::default();
        run(
            &mut ledger,
            Writer::App,
            &["SET", "user:1:profile", r#"{"version":5}"#],
        );
        run(
            &mut ledger,
            Writer::Script,
            &["SET", "user:1:profile", r#"{"version":5}"#],
        );
        run(&mut ledger, Writer::App, &["DEL", "user:1:profile"]);
        assert_eq!(ledger.violations(), []);
        run(
            &mut ledger,
            Writer::Script,
            &["SET", "user:1:profile", r#"{"version":4}"#],
        );
        let found = ledger.violations();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].before.as_str(), found[0].after.as_str()),
            ("5", "4")
        );
    }

    #[test]
    fn what_moves_a_pending_list_is_a_write_and_looking_at_it_is_none() {
        let mut ledger = Ledger::default();
        for words in [
            ["XPENDING", "s", "g"],
            ["xinfo", "GROUPS", "s"],
            ["XRANGE", "s", "-"],
        ] {
            run(&mut ledger, Writer::Other, &words);
        }
        run(&mut ledger, Writer::App, &["XACK", "s", "g", "1-0"]);
        assert_eq!(ledger.stream_writes(), []);
        run(
            &mut ledger,
            Writer::Other,
            &["xautoclaim", "s", "g", "c", "0", "0"],
        );
        run(&mut ledger, Writer::Script, &["XACK", "s", "g", "1-0"]);
        run(
            &mut ledger,
            Writer::Other,
            &["XREADGROUP", "GROUP", "g", "c"],
        );
        let writes = ledger.stream_writes();
        let named: Vec<_> = writes.iter().map(|w| (w.writer, w.name.as_str())).collect();
        assert_eq!(
            named,
            [
                (Writer::Other, "XAUTOCLAIM"),
                (Writer::Script, "XACK"),
                (Writer::Other, "XREADGROUP")
            ]
        );
        assert_eq!(writes[1].words, ["s", "g", "1-0"]);
    }

    #[test]
    fn prices_states_and_what_was_there_before_never_fall() {
        let mut ledger = Ledger::default();
        ledger.begin_with("auction:3", "currentPrice", "100");
        run(
            &mut ledger,
            Writer::Script,
            &[
                "HSET",
                "auction:3",
                "currentPrice",
                "99",
                "topBidderId",
                "4",
            ],
        );
        run(
            &mut ledger,
            Writer::App,
            &["SET", "auction:3:status", "CLOSED"],
        );
        run(
            &mut ledger,
            Writer::Script,
            &["SET", "auction:3:status", "OPEN"],
        );
        assert_eq!(ledger.violations().len(), 2);
    }

    #[test]
    fn a_balance_may_be_set_to_the_last_or_the_next_value_and_to_no_other() {
        let balance = "user:1:balance";
        let mut ledger = Ledger::default();
        run(&mut ledger, Writer::Script, &["SET", balance, "1"]);
        run(&mut ledger, Writer::App, &["SET", balance, "10"]);
        run(&mut ledger, Writer::Script, &["SET", balance, "10"]);
        run(&mut ledger, Writer::Script, &["SET", balance, "20"]);
        run(&mut ledger, Writer::App, &["SET", balance, "20"]);
        assert_eq!(ledger.violations(), []);
        run(&mut ledger, Writer::Script, &["SET", balance, "10"]);
        assert_eq!(
            ledger.violations().len(),
            1,
            "the application had replaced the 10"
        );
    }
}
