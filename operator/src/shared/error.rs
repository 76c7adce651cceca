//! Errors of reconciles.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;

/// Why a reconcile failed. Every error leads to a retry. A failure that a retry cannot fix is a condition instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused a request or did not answer.
    #[error("cannot {action}: {}", words(source))]
    Kube {
        action: String,
        /// The object of the action.
        about: Option<Box<ObjectReference>>,
        #[source]
        source: Box<kube::Error>,
    },
    /// The reconcile exceeded its time limit. kube's client has no read time-out.
    #[error("timed out after {0:?}: the API server or a broker does not answer")]
    TimedOut(Duration),
    /// The object belongs to another owner. A defect: the ownership is checked before.
    #[error("not written: {0}")]
    Taken(String),
    /// No random numbers for a credential.
    #[error("cannot generate a credential: {0}")]
    Random(getrandom::Error),
}

/// The text for people: of an API server's status, only its message.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

impl Error {
    /// Wraps an error of the API server.
    pub fn kube(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let action = action.into();
        move |source| Self::Kube { action, about: None, source: Box::new(source) }
    }

    /// Adds the object of the action.
    pub fn of(mut self, object: ObjectReference) -> Self {
        if let Self::Kube { about, .. } = &mut self {
            *about = Some(Box::new(object));
        }
        self
    }

    /// The object of the action.
    pub fn about(&self) -> Option<ObjectReference> {
        let Self::Kube { about, .. } = self else { return None };
        about.as_deref().cloned()
    }

    /// Whether the API server found the object invalid, as opposed to the request.
    pub fn is_invalid(&self) -> bool {
        let Self::Kube { source, .. } = self else { return false };
        matches!(source.as_ref(), kube::Error::Api(status) if status.code == 422)
    }

    /// Whether the object does not exist any more, or was replaced by another one.
    pub fn is_gone(&self) -> bool {
        let Self::Kube { source, .. } = self else { return false };
        matches!(source.as_ref(), kube::Error::Api(status) if matches!(status.code, 404 | 409))
    }

    /// The action and the API server's error, if it refused the request. `None` if the API server is only busy, or
    /// another write came first: a retry solves that.
    pub fn refusal(&self) -> Option<String> {
        let Self::Kube { action, source, .. } = self else { return None };
        match source.as_ref() {
            kube::Error::Api(status) if !matches!(status.code, 409 | 429 | 503 | 504) => {
                Some(format!("cannot {action}: {}", words(source)))
            }
            _ => None,
        }
    }

    /// Whether the API server or one of its webhooks failed. Most often, this passes within a second.
    pub fn is_server_error(&self) -> bool {
        let Self::Kube { source, .. } = self else { return false };
        matches!(source.as_ref(), kube::Error::Api(status) if status.code >= 500)
    }

    /// Whether the API server names an invalid field, so that a retry of the same request cannot succeed. A refusal by
    /// an admission controller or a quota may pass.
    pub fn is_field_error(&self) -> bool {
        let Self::Kube { source, .. } = self else { return false };
        let kube::Error::Api(status) = source.as_ref() else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes.into_iter().any(|cause| !cause.field.is_empty())
            || status.message.starts_with("failed to create typed patch object")
    }

    /// The reason label in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Kube { source, .. } => match source.as_ref() {
                kube::Error::Api(status) if status.code == 409 => "conflict",
                kube::Error::Api(status) if status.code == 403 => "forbidden",
                kube::Error::Api(_) => "api",
                _ => "connection",
            },
            Self::TimedOut(_) => "timeout",
            Self::Taken(_) => "taken",
            Self::Random(_) => "random",
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    fn refused(code: u16, message: &str, field: Option<&str>) -> Error {
        let causes: Vec<_> = field.map(|field| json!({ "field": field })).into_iter().collect();
        let status = json!({ "code": code, "message": message, "details": { "causes": causes } });
        let status: Status = serde_json::from_value(status).unwrap();
        Error::kube("apply Service x")(kube::Error::Api(status.boxed()))
    }

    #[test]
    fn a_refusal_names_the_action_and_the_message_of_the_api_server() {
        let error = refused(403, "exceeded quota", None);
        assert_eq!(error.to_string(), "cannot apply Service x: exceeded quota");
        assert_eq!(error.refusal(), Some(error.to_string()));
        for passing in [409, 429, 503, 504] {
            assert_eq!(refused(passing, "busy", None).refusal(), None, "{passing}");
        }
    }

    #[test]
    fn only_an_error_about_a_field_requires_an_edit() {
        assert!(refused(422, "invalid", Some("spec.template")).is_field_error());
        assert!(refused(500, "failed to create typed patch object: unknown field", None).is_field_error());
        assert!(!refused(422, "a policy denied the request", None).is_field_error());
        assert!(!refused(403, "exceeded quota", None).is_field_error());
    }
}
