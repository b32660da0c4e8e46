//! Which shard this process is: by the command line, else by what Kubernetes gives the pods of an Indexed Job.

use super::invocation::Refusal;
use crate::model::shard::Shard;

/// Set by Kubernetes in every pod of an Indexed Job.
const INDEX: &str = "JOB_COMPLETION_INDEX";
/// Set by whoever wrote the Job's manifest, to the same number as its `completions`.
const COUNT: &str = "AUDITOR_SHARDS";

/// The shard that `option`, I/N, or else the environment names; without either the whole.
pub(super) fn shard(
    option: Option<&str>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Shard, Refusal> {
    if let Some(text) = option {
        return Shard::parse(text).ok_or_else(|| Refusal::Shard(format!("--shard `{text}`")));
    }
    match (environment(INDEX), environment(COUNT)) {
        (None, None) => Ok(Shard::WHOLE),
        (Some(index), Some(count)) => Shard::parse(&format!("{index}/{count}"))
            .ok_or_else(|| Refusal::Shard(format!("{INDEX}={index} with {COUNT}={count}"))),
        (Some(_), None) => Err(Refusal::HalfAShard(INDEX, COUNT)),
        (None, Some(_)) => Err(Refusal::HalfAShard(COUNT, INDEX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        option: Option<&str>,
        index: Option<&str>,
        count: Option<&str>,
    ) -> Result<String, String> {
        let environment = |name: &str| match name {
            INDEX => index.map(str::to_owned),
            COUNT => count.map(str::to_owned),
            _ => None,
        };
        let shard = shard(option, &environment);
        shard
            .map(|s| s.to_string())
            .map_err(|fault| fault.to_string())
    }

    #[test]
    fn the_command_line_is_asked_first_and_the_environment_then() {
        let says = |shard: &str| Ok(shard.to_owned());
        assert_eq!(read(None, None, None), says("0/1"));
        assert_eq!(read(Some("1/4"), None, None), says("1/4"));
        assert_eq!(read(None, Some("3"), Some("4")), says("3/4"));
        assert_eq!(read(Some("1/2"), Some("3"), Some("4")), says("1/2"));
        assert_eq!(read(Some("1/2"), Some("3"), None), says("1/2"));
    }

    #[test]
    fn half_a_shard_and_nonsense_are_refused() {
        for (option, index, count, part) in [
            (Some("4/4"), None, None, "--shard `4/4` is no shard"),
            (Some(""), None, None, "--shard `` is no shard"),
            (
                None,
                Some("4"),
                Some("4"),
                "JOB_COMPLETION_INDEX=4 with AUDITOR_SHARDS=4 is no shard",
            ),
            (None, Some(""), Some("4"), "is no shard"),
            (
                None,
                Some("0"),
                None,
                "JOB_COMPLETION_INDEX is set and AUDITOR_SHARDS is not",
            ),
            (
                None,
                None,
                Some("4"),
                "AUDITOR_SHARDS is set and JOB_COMPLETION_INDEX is not",
            ),
        ] {
            let fault = read(option, index, count).expect_err(part);
            assert!(fault.contains(part), "{fault}");
        }
    }
}
