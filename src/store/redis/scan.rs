//! Walking through keys and members.
//!
//! What is there from start to end comes at least once; what is added or removed meanwhile may or
//! may not come, and an element may come twice. A cursor means something only to the process that
//! gave it: after another run id the walk begins at 0 again.

use ::redis::Value;
use futures_util::future::try_join_all;

use super::error::RedisError;
use super::reader::Redis;
use super::reply;
use crate::model::check::ValueKind;
use crate::model::mapping::Mapping;
use crate::model::slots::SlotSet;

/// Elements the server looks at in one step: 6 times faster than the default of 10, and other
/// clients wait 1 to 2 ms.
const SCAN_COUNT: usize = 1_000;

/// Where a walk through all keys stands: a cursor for each node that is not done. It means something only to the
/// connections that began it.
#[derive(Debug, Clone)]
pub struct KeyWalk {
    /// The node's place among the reader's, and its cursor.
    open: Vec<(usize, u64)>,
}

impl KeyWalk {
    pub fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// How many nodes give the next page, and so how often [`SCAN_COUNT`] keys are walked over for it.
    pub fn nodes_open(&self) -> usize {
        self.open.len()
    }
}

/// One page of a member scan. Empty pages are normal.
#[derive(Debug, Clone)]
pub struct ScanPage<T> {
    /// 0: the walk is done.
    pub next: u64,
    pub items: Vec<T>,
}

impl Redis {
    /// The beginning of a walk through the keys of every node, or of those that answer for some of `slots`.
    pub fn walk_keys(&self, slots: Option<&SlotSet>) -> KeyWalk {
        let nodes = self.nodes.owners_of(slots).into_iter();
        KeyWalk {
            open: nodes.map(|node| (node, 0)).collect(),
        }
    }

    /// One page of SCAN with `MATCH glob COUNT 1000` from each node that `walk` is not done with, all asked at once.
    pub async fn scan_keys(
        &self,
        walk: &mut KeyWalk,
        glob: &[u8],
    ) -> Result<Vec<Vec<u8>>, RedisError> {
        let asked = walk.open.iter().map(|&(node, cursor)| async move {
            let mut command = ::redis::cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(glob);
            command.arg("COUNT").arg(SCAN_COUNT);
            let link = &self.nodes.links()[node];
            let answer = reply::one(link, &command).await?;
            Ok((node, taken_apart(&link.address, answer, "SCAN")?))
        });
        let pages = try_join_all(asked).await?;
        walk.open = pages
            .iter()
            .filter(|(_, page)| page.next != 0)
            .map(|(node, page)| (*node, page.next))
            .collect();
        Ok(pages.into_iter().flat_map(|(_, page)| page.items).collect())
    }

    /// One page of ZSCAN, HSCAN or SSCAN of `key`: the members' names. A key of another type has no
    /// members; `read` and `types` name its type.
    pub async fn scan_members(
        &self,
        mapping: &Mapping,
        key: &[u8],
        cursor: u64,
    ) -> Result<ScanPage<Vec<u8>>, RedisError> {
        let (name, strings_per_member) = match mapping.check.value {
            ValueKind::Zset => ("ZSCAN", 2),
            ValueKind::Hash => ("HSCAN", 2),
            ValueKind::Set => ("SSCAN", 1),
            _ => {
                return Err(RedisError::Protocol(format!(
                    "nothing to scan for check \"{}\": only hashes, sets and sorted sets hold members",
                    mapping.check.name.text
                )));
            }
        };
        let mut command = ::redis::cmd(name);
        command.arg(key).arg(cursor).arg("COUNT").arg(SCAN_COUNT);
        let answer = self
            .nodes
            .many(::redis::pipe().add_command(command))
            .await?;
        let answer = answer.into_iter().next().unwrap_or_default();
        if matches!(&answer, Value::ServerError(error) if reply::is_wrong_type(error)) {
            return Ok(ScanPage {
                next: 0,
                items: Vec::new(),
            });
        }
        let address = self.nodes.address();
        let page = taken_apart(address, reply::accepted(address, answer)?, name)?;
        Ok(ScanPage {
            next: page.next,
            items: page.items.into_iter().step_by(strings_per_member).collect(),
        })
    }
}

fn taken_apart(address: &str, answer: Value, name: &str) -> Result<ScanPage<Vec<u8>>, RedisError> {
    let unexpected = || RedisError::unexpected(address, name);
    let parts = reply::optional_array(answer).ok_or_else(unexpected)?;
    let [cursor, items] = <[Value; 2]>::try_from(parts).map_err(|_| unexpected())?;
    // Cursors use all 64 bits, so they do not pass through a signed number.
    let next = reply::text(cursor)
        .and_then(|text| text.parse().ok())
        .ok_or_else(unexpected)?;
    let items = reply::optional_array(items).ok_or_else(unexpected)?;
    Ok(ScanPage {
        next,
        items: items.into_iter().filter_map(reply::bytes).collect(),
    })
}
