//! Log output: standard error, as text or JSON; coloured only on a terminal.

use std::io::{self, IsTerminal as _};

use restante_wire::terminal::{Escaped, Form};

use crate::config::LogFormat;

/// Libraries that log events that any peer can cause.
const QUIET: &str = "h2=off,hyper=off";

/// Starts logging. Some lines contain bytes from clients: they are escaped, so that none can control a terminal.
pub fn init(directives: &str, format: LogFormat) {
    // Peers could make these libraries log without limit. Directives that name the libraries still take effect.
    let directives = format!("{QUIET},{directives}");
    let lines = tracing_subscriber::fmt().with_env_filter(directives);
    match format {
        LogFormat::Json => lines.json().with_writer(|| Escaped::new(io::stderr(), Form::Json)).init(),
        // The default of tracing-subscriber, which honours NO_COLOR.
        LogFormat::Text if io::stderr().is_terminal() => {
            lines.with_writer(|| Escaped::new(io::stderr(), Form::Coloured)).init();
        }
        LogFormat::Text => {
            lines.with_ansi(false).with_writer(|| Escaped::new(io::stderr(), Form::Lines)).init();
        }
    }
}
