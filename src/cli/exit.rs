//! Exit codes as a vocabulary.

use std::process::ExitCode;

use crate::model::outcome::RunVerdict;
use crate::run::request::Ending;

/// What the process says to its caller at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Everything was looked at; consistent now.
    Consistent,
    /// Everything was looked at; findings remain.
    FindingsRemain,
    /// The arguments or the job file are wrong.
    BadRequest,
    /// A store could not be reached or refused.
    NothingJudged,
    /// Stopped early, or something stayed unknown, refused or not searched.
    Partial,
    /// Another run of this job holds the lease.
    LeaseHeld,
}

impl ExitStatus {
    pub const ALL: [ExitStatus; 6] = [
        ExitStatus::Consistent,
        ExitStatus::FindingsRemain,
        ExitStatus::BadRequest,
        ExitStatus::NothingJudged,
        ExitStatus::Partial,
        ExitStatus::LeaseHeld,
    ];

    pub fn code(self) -> u8 {
        match self {
            ExitStatus::Consistent => RunVerdict::Consistent.exit_code(),
            ExitStatus::FindingsRemain => RunVerdict::FindingsRemain.exit_code(),
            ExitStatus::BadRequest => 2,
            ExitStatus::NothingJudged => RunVerdict::NothingJudged.exit_code(),
            ExitStatus::Partial => RunVerdict::Partial.exit_code(),
            ExitStatus::LeaseHeld => 5,
        }
    }

    pub fn meaning(self) -> &'static str {
        match self {
            ExitStatus::Consistent => {
                "everything was looked at; consistent now (nothing found, or repaired and verified)"
            }
            ExitStatus::FindingsRemain => {
                "everything was looked at; findings remain (also a dry run that would repair)"
            }
            ExitStatus::BadRequest => "the request is wrong: arguments or job file",
            ExitStatus::NothingJudged => {
                "nothing was judged: a store could not be reached or refused"
            }
            ExitStatus::Partial => {
                "partial: stopped early, or something stayed unknown or not searched"
            }
            ExitStatus::LeaseHeld => "another run of this job holds the lease",
        }
    }

    /// The table `--help` ends with.
    pub fn help() -> String {
        let rows = Self::ALL.map(|status| format!("  {}  {}", status.code(), status.meaning()));
        format!("Exit codes:\n{}", rows.join("\n"))
    }
}

impl From<&Ending> for ExitStatus {
    fn from(ending: &Ending) -> Self {
        match ending {
            Ending::Done | Ending::Verdict(RunVerdict::Consistent) => ExitStatus::Consistent,
            Ending::Verdict(RunVerdict::FindingsRemain) => ExitStatus::FindingsRemain,
            Ending::Verdict(RunVerdict::Partial) => ExitStatus::Partial,
            Ending::Verdict(RunVerdict::NothingJudged) | Ending::NothingJudged(_) => {
                ExitStatus::NothingJudged
            }
            Ending::BadRequest(_) => ExitStatus::BadRequest,
            Ending::LeaseHeld(_) => ExitStatus::LeaseHeld,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        ExitCode::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_contract_and_in_the_help() {
        assert_eq!(ExitStatus::ALL.map(ExitStatus::code), [0, 1, 2, 3, 4, 5]);
        let help = ExitStatus::help();
        assert!(ExitStatus::ALL.iter().all(|s| help.contains(s.meaning())));
    }

    #[test]
    fn every_ending_has_its_code() {
        let code = |ending: Ending| ExitStatus::from(&ending).code();
        assert_eq!(code(Ending::Done), 0);
        assert_eq!(code(Ending::BadRequest(String::new())), 2);
        assert_eq!(code(Ending::NothingJudged(String::new())), 3);
        assert_eq!(code(Ending::LeaseHeld(String::new())), 5);
        for verdict in [
            RunVerdict::Consistent,
            RunVerdict::FindingsRemain,
            RunVerdict::Partial,
            RunVerdict::NothingJudged,
        ] {
            assert_eq!(code(Ending::Verdict(verdict)), verdict.exit_code());
        }
    }
}
