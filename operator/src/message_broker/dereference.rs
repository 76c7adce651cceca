//! What a MessageBroker needs from elsewhere: the control credential that was drawn for it.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::validate::Broker;
use crate::{context::Context, error::Error, names};

/// The control credential of a broker. Drawn once and never changed: the broker would have to restart.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(pub String);

/// Reads the credential, or draws one if there is none.
pub async fn credential(context: &Context, broker: &Broker) -> Result<Credential, Error> {
    let name = names::credential(&broker.name);
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &context.args.namespace);
    let secret =
        secrets.get_opt(&name).await.map_err(Error::kube(format!("read Secret {name} of the broker")))?;
    match secret.as_ref().and_then(token_in) {
        Some(token) => Ok(Credential(token)),
        None => draw().map(Credential),
    }
}

fn token_in(secret: &Secret) -> Option<String> {
    let token = secret.data.as_ref()?.get(names::TOKEN_KEY)?;
    let token = std::str::from_utf8(&token.0).ok()?.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

/// 32 random bytes, in hexadecimal: as hard to guess as a 256-bit key.
fn draw() -> Result<String, Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn a_credential_is_64_digits_and_never_the_same() {
        let (one, other) = (draw().unwrap(), draw().unwrap());
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
    }

    #[test]
    fn an_emptied_secret_holds_no_credential() {
        let secret = |text: &str| Secret {
            data: Some([(names::TOKEN_KEY.to_owned(), ByteString(text.into()))].into()),
            ..Secret::default()
        };
        assert_eq!(token_in(&secret("abc\n")).as_deref(), Some("abc"));
        assert_eq!(token_in(&secret("")), None);
        assert_eq!(token_in(&Secret::default()), None);
    }
}
