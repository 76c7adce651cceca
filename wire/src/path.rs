//! Paths of the HTTP contract and of the control API.

use crate::Address;

/// `POST` pushes, `GET` pulls, `HEAD` counts. The address follows.
pub const MESSAGES: &str = "/v1/messages/";
/// `POST` pulls, for clients and proxies that distrust `GET`. The address follows.
pub const RECEIVE: &str = "/v1/receive/";
/// `POST` pushes many, `GET` pulls many. The address follows.
pub const BATCHES: &str = "/v1/batches/";
/// `GET` looks at messages without taking them. The address follows.
pub const PEEK: &str = "/v1/peek/";
/// `POST` settles, releases, rejects and renews many leases.
pub const SETTLEMENTS: &str = "/v1/settlements";
/// `GET` describes all of this as OpenAPI 3.1.
pub const OPENAPI: &str = "/openapi.json";
/// `DELETE` settles; `…/renew`, `…/release` and `…/reject` follow the lease token.
pub const LEASES: &str = "/v1/leases/";
/// `GET` tells a channel's counts. `{namespace}/{name}` follows.
pub const CHANNELS: &str = "/v1/channels/";
/// `GET` says whether the broker lives.
pub const LIVEZ: &str = "/livez";
/// `GET` says whether the broker takes and gives messages.
pub const READYZ: &str = "/readyz";
/// `GET` tells what a problem type means and what to do. Its name follows.
pub const ERRORS: &str = "/errors/";

/// Control API: `GET` tells what the address store holds.
pub const CONTROL_REVISION: &str = "/control/v1/revision";
/// Control API: `POST` replaces the set of channels by the NDJSON in the body.
pub const CONTROL_SYNC: &str = "/control/v1/sync";
/// Control API: `GET` tells every channel's counts, as NDJSON.
pub const CONTROL_STATS: &str = "/control/v1/stats";
/// Control API: `POST` answers with a backup of the data folder, as a tar archive.
pub const CONTROL_BACKUP: &str = "/control/v1/backup";
/// Control API: `PUT` and `DELETE` of one channel, `GET …/stats`, `POST …/redrive` and `…/purge`. The channel's UID
/// follows.
pub const CONTROL_CHANNELS: &str = "/control/v1/channels/";

/// Where messages to and from an address go.
pub fn messages(address: &Address) -> String {
    format!("{MESSAGES}{address}")
}

/// Where a lease is settled.
pub fn lease(token: &str) -> String {
    format!("{LEASES}{token}")
}

/// The token of a lease that is given as its token, as the path in `Location`, or as that path's absolute URL, to which HTTP
/// libraries resolve it: behind a proxy with the proxy's own prefix.
pub fn lease_token(lease: &str) -> &str {
    lease.rsplit_once(LEASES).map_or(lease, |(_, token)| token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_its_token_however_it_is_given() {
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
