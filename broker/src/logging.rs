//! Where log lines go: standard error, as text or JSON, coloured only on a terminal.

use std::io::{self, IsTerminal as _};

use restante_wire::terminal::{Escaped, Form};

use crate::config::LogFormat;

/// Starts logging. What clients sent is in some lines, so that no character of it reaches a terminal as a command.
pub fn init(directives: &str, format: LogFormat) {
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
