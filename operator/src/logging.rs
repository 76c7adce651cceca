//! Logs to standard error, as text or JSON, with colours only on a terminal.

use std::io::{self, IsTerminal as _};

use restante_wire::terminal::{Escaped, Form};
use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::config::LogFormat;

/// Invalid directives.
#[derive(Debug, thiserror::Error)]
#[error("--log {directives:?} is neither a level nor a list of directives: {error}")]
pub struct LoggingError {
    pub directives: String,
    pub error: ParseError,
}

/// Starts logging.
pub fn init(directives: &str, format: LogFormat) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| LoggingError { directives: directives.to_owned(), error })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Json => lines.json().with_writer(|| Escaped::new(io::stderr(), Form::Json)).init(),
        // The subscriber decides about colours, and respects NO_COLOR.
        LogFormat::Text if io::stderr().is_terminal() => {
            lines.with_writer(|| Escaped::new(io::stderr(), Form::Coloured)).init();
        }
        LogFormat::Text => {
            lines.with_ansi(false).with_writer(|| Escaped::new(io::stderr(), Form::Lines)).init();
        }
    }
    Ok(())
}
