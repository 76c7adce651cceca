//! Where log lines go: standard error, as text or JSON.

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::config::LogFormat;

/// Directives that are none.
#[derive(Debug, thiserror::Error)]
#[error("--log {directives:?} is neither a level nor a list of directives: {error}")]
pub struct LoggingError {
    /// What was said.
    pub directives: String,
    /// What is wrong with it.
    pub error: ParseError,
}

/// Starts logging. Fails when the directives are malformed.
pub fn init(directives: &str, format: LogFormat) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| LoggingError { directives: directives.to_owned(), error })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}
