//! Paths of the HTTP contract and of the control API.

use crate::Address;

/// `POST` pushes, `GET` pulls, `HEAD` counts. The address follows.
pub const MESSAGES: &str = "/v1/messages/";
/// `POST` pulls, for clients and proxies that cache or repeat a `GET`. The address follows.
pub const RECEIVE: &str = "/v1/receive/";
/// `POST` pushes a batch, `GET` pulls one. The address follows.
pub const BATCHES: &str = "/v1/batches/";
/// `GET` peeks at messages without leasing them. The address follows.
pub const PEEK: &str = "/v1/peek/";
/// `POST` settles, releases, rejects and renews many leases.
pub const SETTLEMENTS: &str = "/v1/settlements";
/// `GET` returns the OpenAPI 3.1 document of the data port.
pub const OPENAPI: &str = "/openapi.json";
/// `DELETE` settles; `…/renew`, `…/release` and `…/reject` follow the lease token.
pub const LEASES: &str = "/v1/leases/";
/// `GET` returns a channel's counts. `{namespace}/{name}` follows.
pub const CHANNELS: &str = "/v1/channels/";
/// `GET` is the liveness check.
pub const LIVEZ: &str = "/livez";
/// `GET` is the readiness check: whether the broker accepts and delivers messages.
pub const READYZ: &str = "/readyz";
/// `GET` returns the page of a problem type. Its name follows.
pub const ERRORS: &str = "/errors/";

/// Control API: `GET` returns the state of the address store.
pub const CONTROL_REVISION: &str = "/control/v1/revision";
/// Control API: `POST` replaces the set of channels with the NDJSON in the body.
pub const CONTROL_SYNC: &str = "/control/v1/sync";
/// Control API: `GET` returns every channel's counts, as NDJSON.
pub const CONTROL_STATS: &str = "/control/v1/stats";
/// Control API: `POST` returns a backup of the data folder, as a tar archive.
pub const CONTROL_BACKUP: &str = "/control/v1/backup";
/// Control API: `PUT` and `DELETE` of one channel, `GET …/stats`, `POST …/redrive` and `…/purge`. The channel's UID
/// follows.
pub const CONTROL_CHANNELS: &str = "/control/v1/channels/";

/// The path to push to and pull from an address.
pub fn messages(address: &Address) -> String {
    format!("{MESSAGES}{address}")
}

/// The path to settle a lease.
pub fn lease(token: &str) -> String {
    format!("{LEASES}{token}")
}

/// The token of a lease that is given as its token, as the path in `Location`, or as the absolute URL of that path.
/// HTTP libraries resolve the path to a URL, which can have the prefix of a proxy.
pub fn lease_token(lease: &str) -> &str {
    lease.rsplit_once(LEASES).map_or(lease, |(_, token)| token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_accepted_as_token_path_or_url() {
        for lease in [
            "aZ09-_",
            "/v1/leases/aZ09-_",
            "/prefix/v1/leases/aZ09-_",
            "http://localhost:8080/v1/leases/aZ09-_",
            "https://example.com/a/b/v1/leases/aZ09-_",
        ] {
            assert_eq!(lease_token(lease), "aZ09-_", "{lease}");
        }
        assert_eq!(lease_token("/v1/leases/a/renew"), "a/renew");
    }
}
