//! Where log lines go: standard error, as text or JSON, coloured only on a terminal.

use std::io::{self, IsTerminal as _};

use restante_wire::terminal::{Escaped, Form};

use crate::config::LogFormat;

/// Libraries that log what peers do.
const QUIET: &str = "h2=off,hyper=off";

/// Starts logging. What clients sent is in some lines, so that no character of it reaches a terminal as a command.
pub fn init(directives: &str, format: LogFormat) {
    // What a library says of each odd frame, any stranger could have it say without end. Directives that name it still win.
    let directives = format!("{QUIET},{directives}");
    let lines = tracing_subscriber::fmt().with_env_filter(directives);
    match format {
        LogFormat::Json => lines.json().with_writer(|| Escaped::new(io::stderr(), Form::Json)).init(),
        // The subscriber's own choice, which honours NO_COLOR.
        LogFormat::Text if io::stderr().is_terminal() => {
            lines.with_writer(|| Escaped::new(io::stderr(), Form::Coloured)).init();
        }
        LogFormat::Text => {
            lines.with_ansi(false).with_writer(|| Escaped::new(io::stderr(), Form::Lines)).init();
        }
    }
}
