//! The scripts of `lua/`, and how a write becomes a call of one.
//! How a step of a settlement does is said beside, in `settling`.

use std::sync::LazyLock;

use ::redis::{Cmd, Script};
use bytes::Bytes;

use super::write::{LAG_SECONDS_MAX, Write};
use crate::model::observation::KeyExpiry;
use crate::model::time::Micros;

/// A script with the fence before it, by its text and by the digest that names it on the server.
pub(super) struct Guarded {
    pub(super) text: &'static str,
    digest: LazyLock<String>,
}

macro_rules! guarded {
    ($($chunks:tt: { $($name:ident = $file:literal;)* })*) => {
        $($(pub(super) static $name: Guarded = {
            const TEXT: &str = guarded!(@text $chunks $file);
            Guarded {
                text: TEXT,
                digest: LazyLock::new(|| Script::new(TEXT).get_hash().to_owned()),
            }
        };)*)*
        /// Every script, for loading them before the first is called.
        pub(super) static ALL: &[&Guarded] = &[$($(&$name),*),*];
    };
    (@text [$($chunk:literal),*] $file:literal) => {
        concat!($(include_str!($chunk), "\n",)* include_str!($file))
    };
}

guarded! {
    ["lua/fence.lua"]: {
        REPLACE_STRING = "lua/replace_string.lua";
        CREATE_STRING = "lua/create_string.lua";
        DELETE_STRING = "lua/delete_string.lua";
        ADD_TO_STRING = "lua/add_to_string.lua";
        SET_HASH_FIELDS = "lua/set_hash_fields.lua";
        DELETE_HASH = "lua/delete_hash.lua";
        ADD_TO_HASH_FIELD = "lua/add_to_hash_field.lua";
        SET_SCORE = "lua/set_score.lua";
        REMOVE_SCORE = "lua/remove_score.lua";
        SET_MEMBER = "lua/set_member.lua";
        SET_EXPIRY = "lua/set_expiry.lua";
        RESTORE_STRING = "lua/restore_string.lua";
        RESTORE_HASH = "lua/restore_hash.lua";
        PERSIST = "lua/persist.lua";
    }
    ["lua/fence.lua", "lua/stream.lua"]: {
        STILL_HELD = "lua/still_held.lua";
        ACKNOWLEDGE = "lua/acknowledge.lua";
        CLAIM = "lua/claim.lua";
        REQUEUE = "lua/requeue.lua";
        DEAD_LETTER = "lua/dead_letter.lua";
        RECREATE_GROUP = "lua/recreate_group.lua";
        ADVANCE = "lua/advance.lua";
        RAISE_LAST_ID = "lua/raise_last_id.lua";
    }
}

/// The fence of one node, as `lua/fence.lua` reads it.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeFence<'a> {
    pub(super) replication_id: &'a str,
    pub(super) min_replicas: u32,
    pub(super) deadline: Micros,
}

/// One call of one script: the keys, and its own arguments; the fence is that of the node it is sent to.
pub(super) struct Call<'a> {
    script: &'static Guarded,
    keys: Vec<&'a [u8]>,
    arguments: Vec<Argument<'a>>,
}

pub(super) enum Argument<'a> {
    Bytes(&'a [u8]),
    Text(String),
}

pub(super) const YES: Argument<'static> = Argument::Bytes(b"1");
pub(super) const NO: Argument<'static> = Argument::Bytes(b"0");
pub(super) const NOTHING: Argument<'static> = Argument::Bytes(b"");

impl<'a> Call<'a> {
    /// The call for `write`; an error says why it must not even be sent: it would be unguarded, or mean
    /// nothing.
    pub(super) fn of(write: &'a Write) -> Result<Self, &'static str> {
        check(write)?;
        let (script, key, own) = parts(write);
        Ok(Self::new(script, vec![key], own))
    }

    /// A call of `script` on `keys` with its own arguments.
    pub(super) fn new(
        script: &'static Guarded,
        keys: Vec<&'a [u8]>,
        arguments: Vec<Argument<'a>>,
    ) -> Self {
        Self {
            script,
            keys,
            arguments,
        }
    }

    /// The key that is written.
    pub(super) fn key(&self) -> &'a [u8] {
        self.keys[0]
    }

    /// By digest: the server must know the script.
    pub(super) fn by_digest(&self, fence: NodeFence<'_>) -> Cmd {
        self.command("EVALSHA", &self.script.digest, fence)
    }

    /// With the text along.
    pub(super) fn by_text(&self, fence: NodeFence<'_>) -> Cmd {
        self.command("EVAL", self.script.text, fence)
    }

    fn command(&self, name: &str, script: &str, fence: NodeFence<'_>) -> Cmd {
        let micros = fence.deadline.0;
        let mut command = ::redis::cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys);
        command.arg(fence.replication_id).arg(fence.min_replicas);
        command.arg(LAG_SECONDS_MAX);
        command.arg(micros.div_euclid(1_000_000));
        command.arg(micros.rem_euclid(1_000_000));
        for argument in &self.arguments {
            match argument {
                Argument::Bytes(bytes) => command.arg(*bytes),
                Argument::Text(text) => command.arg(text),
            };
        }
        command
    }
}

/// What would be unguarded or meaningless never leaves the process.
fn check(write: &Write) -> Result<(), &'static str> {
    match write {
        Write::SetHashFields { judged, .. } | Write::DeleteHash { judged, .. }
            if judged.is_empty() =>
        {
            Err("nothing was judged, so nothing would guard the write")
        }
        Write::SetHashFields { fields, .. } if fields.is_empty() => {
            Err("there is nothing to write")
        }
        Write::RestoreHash { fields, .. } if fields.is_empty() => {
            Err("there is nothing to restore")
        }
        Write::RestoreString {
            judged: None,
            old: None,
            ..
        } => Err("there is nothing to restore"),
        Write::CreateString {
            ttl_millis: Some(..=0),
            ..
        }
        | Write::SetExpiry {
            ttl_millis: ..=0, ..
        } => Err("a time to live must be positive"),
        _ => Ok(()),
    }
}

/// The script, its key and its own arguments, in the order its head says.
fn parts(write: &Write) -> (&'static Guarded, &[u8], Vec<Argument<'_>>) {
    use Argument::{Bytes as B, Text as T};
    match write {
        Write::ReplaceString { key, judged, new } => {
            (&REPLACE_STRING, key, vec![B(judged), B(new)])
        }
        Write::CreateString {
            key,
            new,
            ttl_millis,
        } => {
            let ttl = ttl_millis
                .map(|millis| millis.to_string())
                .unwrap_or_default();
            (&CREATE_STRING, key, vec![B(new), T(ttl)])
        }
        Write::DeleteString { key, judged } => (&DELETE_STRING, key, vec![B(judged)]),
        Write::AddToString { key, judged, gap } => {
            (&ADD_TO_STRING, key, vec![B(judged), T(gap.to_string())])
        }
        Write::SetHashFields {
            key,
            judged,
            fields,
        } => {
            let mut own = vec![T(judged.len().to_string())];
            own.extend(triples(judged));
            own.extend(triples(fields));
            (&SET_HASH_FIELDS, key, own)
        }
        Write::DeleteHash { key, judged } => {
            let mut own = vec![T(judged.len().to_string())];
            own.extend(triples(judged));
            (&DELETE_HASH, key, own)
        }
        Write::AddToHashField {
            key,
            field,
            judged,
            gap,
        } => (
            &ADD_TO_HASH_FIELD,
            key,
            vec![B(field), B(judged), T(gap.to_string())],
        ),
        Write::SetScore {
            key,
            member,
            judged,
            new,
        } => {
            let [is_there, score] = optional(judged.as_ref());
            (&SET_SCORE, key, vec![B(member), is_there, score, B(new)])
        }
        Write::RemoveScore {
            key,
            member,
            judged,
        } => (&REMOVE_SCORE, key, vec![B(member), B(judged)]),
        Write::SetMember {
            key,
            member,
            present,
        } => (
            &SET_MEMBER,
            key,
            vec![B(member), if *present { YES } else { NO }],
        ),
        Write::SetExpiry {
            key,
            judged,
            ttl_millis,
        } => {
            let [is_string, value] = optional(judged.as_ref());
            (
                &SET_EXPIRY,
                key,
                vec![T(ttl_millis.to_string()), is_string, value],
            )
        }
        Write::RestoreString {
            key,
            judged,
            old,
            expiry,
        } => {
            let [is_there, value] = optional(judged.as_ref());
            let [was_there, previous] = optional(old.as_ref());
            let expiry = spelled(*expiry, "keep");
            (
                &RESTORE_STRING,
                key,
                vec![is_there, value, was_there, previous, expiry],
            )
        }
        Write::RestoreHash {
            key,
            fields,
            expiry,
        } => {
            // A key that is absent has no expiry to keep.
            let mut own = vec![spelled(*expiry, "never")];
            own.extend(fields.iter().flat_map(|(name, value)| [B(name), B(value)]));
            (&RESTORE_HASH, key, own)
        }
        Write::Persist {
            key,
            not_before_millis,
            not_after_millis,
        } => {
            let own = vec![
                Argument::Text(not_before_millis.to_string()),
                Argument::Text(not_after_millis.to_string()),
            ];
            (&PERSIST, key, own)
        }
    }
}

fn triples(fields: &[(Bytes, Option<Bytes>)]) -> impl Iterator<Item = Argument<'_>> {
    fields.iter().flat_map(|(name, value)| {
        let [is_there, value] = optional(value.as_ref());
        [Argument::Bytes(name), is_there, value]
    })
}

/// A flag and the bytes: an empty string is not an absent one.
fn optional(value: Option<&Bytes>) -> [Argument<'_>; 2] {
    match value {
        Some(bytes) => [YES, Argument::Bytes(bytes)],
        None => [NO, NOTHING],
    }
}

fn spelled(expiry: KeyExpiry, unread: &'static str) -> Argument<'static> {
    match expiry {
        KeyExpiry::Unread => Argument::Bytes(unread.as_bytes()),
        KeyExpiry::Never => Argument::Bytes(b"never"),
        KeyExpiry::AtMillis(millis) => Argument::Text(millis.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(write: &Write) -> Option<&'static str> {
        Call::of(write).err()
    }

    #[test]
    fn unguarded_writes_are_not_sent() {
        let key = b"k".to_vec();
        let field = vec![(Bytes::from("f"), Some(Bytes::from("v")))];
        let judged = vec![(Bytes::from("f"), None)];
        let set = |judged, fields| Write::SetHashFields {
            key: key.clone(),
            judged,
            fields,
        };
        assert!(refusal(&set(Vec::new(), field.clone())).is_some());
        assert!(refusal(&set(judged.clone(), Vec::new())).is_some());
        assert!(refusal(&set(judged, field)).is_none());
        assert!(
            refusal(&Write::DeleteHash {
                key: key.clone(),
                judged: Vec::new()
            })
            .is_some()
        );
        let create = |ttl_millis| Write::CreateString {
            key: key.clone(),
            new: Bytes::new(),
            ttl_millis,
        };
        assert!(refusal(&create(Some(0))).is_some());
        assert!(refusal(&create(Some(1))).is_none());
        assert!(refusal(&create(None)).is_none());
    }

    #[test]
    fn every_script_stands_behind_the_fence() {
        for script in ALL {
            assert!(script.text.contains("local function fence()"));
            let own = script
                .text
                .rsplit("local function is_denied")
                .next()
                .unwrap_or_default();
            assert!(own.contains("local refusal = fence()\nif refusal then return refusal end\n"));
        }
        let digests: std::collections::HashSet<&str> =
            ALL.iter().map(|s| s.digest.as_str()).collect();
        assert_eq!(digests.len(), ALL.len());
    }
}
