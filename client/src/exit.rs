//! Exit codes.

use std::process::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok = 0,
    /// A local error: a file or standard output.
    Failure = 1,
    /// Invalid arguments; the code that clap uses as well.
    Usage = 2,
    /// The answer was the time-out response, or no reply arrived in time.
    TimedOut = 3,
    /// The broker, or a server in its place, refused the request.
    Refused = 4,
    /// The broker was unreachable or did not answer before the deadline.
    Unreachable = 5,
    /// The command of `--exec` failed, and the message was released or rejected.
    CommandFailed = 6,
    /// Interrupted by a signal before a message arrived: 128 + SIGINT, as in shells.
    Interrupted = 130,
}

/// The table in the output of `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
    0  success
    1  local error: a file, standard output or another resource of this machine failed
    2  invalid arguments
    3  no message arrived within the wait (pull), or no reply within the time-out (request)
    4  the broker refused the request: unknown address, expired lease, message too large, ...;
       or no dead letter could be moved (dead-letters redrive)
    5  the broker was unreachable or did not answer before the deadline
    6  the command of --exec failed; the message was released, or rejected with --reject-on
  130  interrupted by a signal before a message arrived

Environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY apply unless --proxy is given. NO_COLOR turns colours off.";

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
