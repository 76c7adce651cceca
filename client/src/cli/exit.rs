//! Exit codes: what a script can tell apart.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// Something on this machine went wrong: a file, standard output.
    Failure = 1,
    /// The arguments cannot be used: clap's own code.
    Usage = 2,
    /// The answer was the time-out response: nothing came within the wait. Or no reply came in time.
    TimedOut = 3,
    /// The broker, or something in its place, refused.
    Refused = 4,
    /// The broker was not reached, or did not answer, before the deadline.
    Unreachable = 5,
    /// The command of `--exec` failed, and the message was given back or up.
    CommandFailed = 6,
    /// Ended by a signal before there was anything to give out: 128 + SIGINT, as shells have it.
    Interrupted = 130,
}

/// The table as `--help` shows it.
pub(crate) const HELP: &str = "\
Exit codes:
    0  done
    1  a file, standard output or something else on this machine failed
    2  the arguments cannot be used
    3  nothing came within the wait (pull), or no reply in time (request)
    4  the broker refused: an unknown address, a lease that ended, a message that is too large, ...;
       or all dead letters stayed where they are (dead-letters redrive)
    5  the broker could not be reached, or did not answer, before the deadline
    6  the command of --exec failed; the message was given back, or up with --reject-on
  130  interrupted before a message came

Proxies: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY count unless --proxy is given. NO_COLOR is honoured.";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_lists_every_code() {
        let all = [
            Exit::Ok,
            Exit::Failure,
            Exit::Usage,
            Exit::TimedOut,
            Exit::Refused,
            Exit::Unreachable,
            Exit::CommandFailed,
            Exit::Interrupted,
        ];
        for exit in all {
            let code = format!("{:>5}  ", exit as u8);
            assert!(HELP.lines().any(|line| line.starts_with(&code)), "{exit:?}");
        }
        assert_eq!(
            HELP.lines().filter(|line| line.trim_start().starts_with(char::is_numeric)).count(),
            all.len()
        );
    }
}
