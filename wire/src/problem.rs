//! Error answers: `application/problem+json` (RFC 9457).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::path;

/// The media type of every error answer.
pub const CONTENT_TYPE: &str = "application/problem+json";
/// The start of a problem's `type`; the name of the [`ProblemType`] follows. It identifies the type and never changes.
/// Programs compare it and never fetch it: the page of the type is at the broker itself, where the answer's `Link`
/// leads.
pub const TYPE_BASE: &str = "https://restante.dev/errors/";

/// The body of an error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `https://restante.dev/errors/` and the name of the problem type: stable, for programs to compare.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schema", schema(format = "uri"))]
    pub type_uri: String,
    /// The problem type in a few words, the same each time.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What is wrong in this request, and what to do: for people, not for programs to compare.
    pub detail: String,
}

impl Problem {
    /// The problem's type, if this version knows it.
    pub fn problem_type(&self) -> Option<ProblemType> {
        self.type_uri.strip_prefix(TYPE_BASE).and_then(ProblemType::from_name)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}): {}", self.title, self.status, self.detail)
    }
}

/// Makes the enum, its names and its titles from one table, so that none can be forgotten.
macro_rules! problem_types {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $title:literal;)+) => {
        /// The kinds of error answers. Within `/v1`, types are only added.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemType {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ProblemType {
            /// Every type.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The last segment of the problem's `type`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The problem's `title`.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }
        }
    };
}

problem_types! {
    /// The path holds an invalid address: see [`crate::Address`].
    AddressMalformed = "address-malformed", "The address is malformed";
    /// No channel has this address in the direction of the request: as a destination, or as a source.
    AddressUnknown = "address-unknown", "No channel has this address for this direction";
    /// A query parameter has an invalid value.
    ParameterMalformed = "parameter-malformed", "A query parameter is malformed";
    /// The path does not take this query parameter.
    ParameterUnknown = "parameter-unknown", "A query parameter is unknown";
    /// A header of the contract is invalid, unknown, or has no effect on the request.
    HeaderMalformed = "header-malformed", "A header is malformed";
    /// The message has more kept headers than proxies let through on the way to the receiver.
    HeadersTooLarge = "headers-too-large", "The message's headers are too large";
    /// The body ended before its announced length.
    BodyIncomplete = "body-incomplete", "The body ended early";
    /// The request has a body, and its path takes none.
    BodyUnexpected = "body-unexpected", "This request takes no body";
    /// The body arrived more slowly than the broker waits for it.
    BodyTimeout = "body-timeout", "The body arrived too slowly";
    /// The path does not take this media type, or not this compression.
    MediaTypeUnsupported = "media-type-unsupported", "The body's media type is not supported";
    /// The request has a transfer coding other than `chunked`.
    TransferCodingUnsupported = "transfer-coding-unsupported", "The transfer coding is not supported";
    /// The body is not what the path takes.
    BodyMalformed = "body-malformed", "The body is malformed";
    /// One item of a batch is invalid; the other items are not affected.
    ItemMalformed = "item-malformed", "An item of the batch is malformed";
    /// The batch has more items or bytes than the limit.
    BatchTooLarge = "batch-too-large", "The batch is too large";
    /// A page of an origin that is not in `--allowed-origins` made the request.
    OriginForbidden = "origin-forbidden", "The origin is not allowed";
    /// A browser made the request, but not a script of an allowed origin: a link, an element of a page, a prefetch.
    BrowserForbidden = "browser-forbidden", "This browser request is not allowed";
    /// The host name is not in `--allowed-hosts`; a page may have rebound its own name to the broker's address.
    HostForbidden = "host-forbidden", "The host name is not allowed";
    /// The message exceeds a limit on its own, however much room there is.
    MessageTooLarge = "message-too-large", "The message is too large";
    /// The channel has reached its limit of messages or bytes.
    ChannelFull = "channel-full", "The channel is full";
    /// The channel has reached its limit of pushes per second.
    RateLimited = "rate-limited", "The channel's rate limit is reached";
    /// The limit of senders waiting for room in the channel is reached.
    TooManySenders = "too-many-senders", "Too many senders are waiting";
    /// The channel drains before it is deleted, and accepts no more messages.
    ChannelClosing = "channel-closing", "The channel is being deleted";
    /// A push with the same key is still waiting for room.
    IdempotencyInProgress = "idempotency-in-progress", "A push with this idempotency key is in progress";
    /// The key was used for another message.
    IdempotencyMismatch = "idempotency-mismatch", "The idempotency key was used for another message";
    /// A message was stored with this key, and its record cannot be read.
    IdempotencyUnreadable = "idempotency-unreadable", "The message stored with this idempotency key cannot be read";
    /// The limit of receivers waiting on the channel is reached.
    TooManyReceivers = "too-many-receivers", "Too many receivers are waiting";
    /// A repeat with the same attempt id took the place of this pull while it waited.
    AttemptRepeated = "attempt-repeated", "A repeat took the place of this pull";
    /// The attempt id belongs to a different pull, which still waits or still has its messages.
    AttemptMismatch = "attempt-mismatch", "The attempt id belongs to a different pull";
    /// The attempt's messages can no longer be read; the receiver keeps their leases.
    AttemptUnreadable = "attempt-unreadable", "The messages of this attempt can no longer be read";
    /// The broker did not issue this token, or it was changed on the way.
    LeaseUnknown = "lease-unknown", "The lease is unknown";
    /// The lease expired, and the message is not leased now.
    LeaseExpired = "lease-expired", "The lease has expired";
    /// The receiver released the message with this token, and it is not leased now.
    LeaseReleased = "lease-released", "The lease was released";
    /// The lease ended, and the message was leased again.
    LeaseSuperseded = "lease-superseded", "The message was leased again";
    /// The message is gone from the channel, so it can be neither released nor renewed.
    MessageSettled = "message-settled", "The message is already settled";
    /// The channel of the lease was deleted.
    ChannelDeleted = "channel-deleted", "The channel was deleted";
    /// The broker has not received any channel configuration yet.
    NotProgrammed = "not-programmed", "The broker has no channel configuration yet";
    /// A limit of the broker's memory, requests, connections or concurrent work is reached.
    Busy = "busy", "The broker is busy";
    /// The broker is shutting down.
    Draining = "draining", "The broker is shutting down";
    /// The limit of remembered idempotency keys is reached.
    TooManyIdempotencyKeys = "too-many-idempotency-keys", "Too many idempotency keys are remembered";
    /// The broker's disk is full: only operations that free space are accepted.
    StoreFull = "store-full", "The broker's disk is full";
    /// The broker's disk failed; the broker stops, and recovery decides what was stored.
    StoreFailed = "store-failed", "The broker's disk failed";
    /// No route has this path.
    RouteUnknown = "route-unknown", "The path is unknown";
    /// The path is known, but it does not take this method.
    MethodNotAllowed = "method-not-allowed", "The method is not allowed on this path";
    /// A bug in the broker.
    Internal = "internal", "The request hit a bug of the broker";

    /// Control API: the bearer token is missing or wrong.
    Unauthorized = "unauthorized", "The credential is missing or wrong";
    /// Control API: a channel's configuration is invalid, or there are too many channels.
    ChannelInvalid = "channel-invalid", "The channel configuration is invalid";
    /// Control API: two channels have the same source, destination, name or UID.
    ChannelConflict = "channel-conflict", "Two channels claim the same address or name";
    /// Control API: the channels come from manifest files, so the control API cannot change them.
    ManagedByManifests = "managed-by-manifests", "The channels are managed by manifest files";
    /// Control API: no channel has this UID.
    ChannelUnknown = "channel-unknown", "No channel has this UID";
    /// Control API: the channel holds messages, and the request does not have `force=true`.
    ChannelNotEmpty = "channel-not-empty", "The channel holds messages";
}

impl ProblemType {
    /// The type with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.name() == name)
    }

    /// The problem's `type`.
    pub fn uri(self) -> String {
        format!("{TYPE_BASE}{}", self.name())
    }

    /// The path of the type's page, the same at every broker.
    pub fn page(self) -> String {
        format!("{}{}", path::ERRORS, self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_type_has_a_unique_name() {
        for problem in ProblemType::ALL {
            assert_eq!(ProblemType::from_name(problem.name()), Some(*problem));
        }
        assert_eq!(ProblemType::from_name("no-such-type"), None);
    }
}
