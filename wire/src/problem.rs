//! Error answers: `application/problem+json` (RFC 9457).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::path;

/// The media type of every error answer.
pub const CONTENT_TYPE: &str = "application/problem+json";
/// What a problem's `type` begins with; the name of the [`ProblemType`] follows. It identifies the type, and never changes; it
/// is compared, and not asked for: the page is where the answer's `Link` leads, at the broker itself.
pub const TYPE_BASE: &str = "https://restante.dev/errors/";

/// The body of an error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Problem {
    /// [`TYPE_BASE`] and the name of the problem type: stable, made to be compared by programs.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "schema", schema(format = "uri"))]
    pub type_uri: String,
    /// The problem type in a few words, the same each time.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What was wrong this time, where, and what to do.
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

/// Makes the enum, its names, its titles and its reader out of one table, so that none can be forgotten.
macro_rules! problem_types {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $title:literal;)+) => {
        /// What can go wrong, as a client can tell it apart. Within `/v1`, types are only added.
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
    /// The path holds no address: see [`crate::Address`].
    AddressMalformed = "address-malformed", "The address is malformed";
    /// No channel has this address on this side.
    AddressUnknown = "address-unknown", "No channel has this address";
    /// A query parameter that must be a number in bounds is none.
    ParameterMalformed = "parameter-malformed", "A query parameter is malformed";
    /// A query parameter that this broker does not know, and so cannot obey.
    ParameterUnknown = "parameter-unknown", "A query parameter is unknown";
    /// A header with a meaning to the broker has none of its forms.
    HeaderMalformed = "header-malformed", "A header is malformed";
    /// More kept headers than a proxy would let through on the way back.
    HeadersTooLarge = "headers-too-large", "The message's headers are too large";
    /// The body ended before the length that was announced.
    BodyIncomplete = "body-incomplete", "The body ended early";
    /// A body came with a request that takes none.
    BodyUnexpected = "body-unexpected", "This request takes no body";
    /// The body came more slowly than the broker waits for it.
    BodyTimeout = "body-timeout", "The body came too slowly";
    /// The body is of a type that this path does not take.
    MediaTypeUnsupported = "media-type-unsupported", "The body's media type is not supported";
    /// A body in a transfer coding besides `chunked`.
    TransferCodingUnsupported = "transfer-coding-unsupported", "The transfer coding is not supported";
    /// A body that is not what the path takes.
    BodyMalformed = "body-malformed", "The body is malformed";
    /// An item of a batch that cannot be obeyed; the others are not affected.
    ItemMalformed = "item-malformed", "An item of the batch is malformed";
    /// A batch of more items or bytes than are taken.
    BatchTooLarge = "batch-too-large", "The batch is too large";
    /// A browser's page of an origin that is not listed.
    OriginForbidden = "origin-forbidden", "Pages of this origin may not use the broker";
    /// A browser's request that no script of a listed origin makes: a link, an element of a page, a prefetch.
    BrowserForbidden = "browser-forbidden", "A browser may not make this request";
    /// A host name that is not listed, under which a browser's page may have been led here.
    HostForbidden = "host-forbidden", "The broker is not asked for by this host name";
    /// The content is larger than the channel takes.
    MessageTooLarge = "message-too-large", "The message is too large";
    /// The channel holds as much as it may.
    ChannelFull = "channel-full", "The channel is full";
    /// More pushes than the channel takes in a second.
    RateLimited = "rate-limited", "Messages are sent too fast";
    /// More senders wait for room in the channel than may.
    TooManySenders = "too-many-senders", "Too many senders wait";
    /// The channel drains before it is deleted, and takes nothing any more.
    ChannelClosing = "channel-closing", "The channel is being closed";
    /// A push with the same key is still being stored.
    IdempotencyInProgress = "idempotency-in-progress", "The same key is still being stored";
    /// The key was used for another message.
    IdempotencyMismatch = "idempotency-mismatch", "The key was used for another message";
    /// Something was stored under the key, and nobody knows what.
    IdempotencyUnreadable = "idempotency-unreadable", "What was stored under the key cannot be read";
    /// More receivers wait on the channel than may.
    TooManyReceivers = "too-many-receivers", "Too many receivers wait";
    /// The pull was repeated under its attempt id while it waited: the repeat has its place.
    AttemptRepeated = "attempt-repeated", "The pull was repeated";
    /// The attempt id is that of another pull, which still has its messages or still waits.
    AttemptMismatch = "attempt-mismatch", "The attempt id was used for another pull";
    /// The attempt's messages cannot be read any more: the receiver keeps their leases.
    AttemptUnreadable = "attempt-unreadable", "What the pull got cannot be read any more";
    /// The token was never issued, or was changed on the way.
    LeaseUnknown = "lease-unknown", "No such lease was issued";
    /// The lease ended; nobody has the message now.
    LeaseExpired = "lease-expired", "The lease has ended";
    /// This token gave the message back; nobody has it now.
    LeaseReleased = "lease-released", "The lease was released";
    /// The lease ended and the message was leased again.
    LeaseSuperseded = "lease-superseded", "The message was leased again";
    /// The message is gone from the channel: there is nothing to give back or to renew.
    MessageSettled = "message-settled", "The message was settled";
    /// The channel that the lease belongs to was deleted.
    ChannelDeleted = "channel-deleted", "The channel was deleted";
    /// The broker's address store was never filled.
    NotProgrammed = "not-programmed", "The broker has no channels yet";
    /// The broker holds as many bodies in flight as it may.
    Busy = "busy", "The broker is busy";
    /// The broker is shutting down.
    Draining = "draining", "The broker is shutting down";
    /// The broker remembers as many idempotency keys as it may.
    IdempotencyFull = "idempotency-full", "Too many idempotency keys are remembered";
    /// The broker's disk is full: it can be emptied, not filled.
    StoreFull = "store-full", "The broker's disk is full";
    /// The broker's disk failed; the broker stops, and recovery decides what was stored.
    StoreFailed = "store-failed", "The broker's disk failed";
    /// No route has this path.
    RouteUnknown = "route-unknown", "There is nothing at this path";
    /// The path is known and the method is not.
    MethodNotAllowed = "method-not-allowed", "This path does not take this method";
    /// A defect of the broker.
    Internal = "internal", "The broker made a mistake";

    /// Control API: the credential is missing or wrong.
    Unauthorized = "unauthorized", "The credential is missing or wrong";
    /// Control API: a channel that cannot be obeyed.
    ChannelInvalid = "channel-invalid", "The channel cannot be obeyed";
    /// Control API: two channels with one source, destination or name.
    ChannelConflict = "channel-conflict", "Two channels claim the same";
    /// Control API: the channels are those of manifests, and the control API cannot change them.
    ManifestsRule = "manifests-rule", "The channels are those of the manifests";
    /// Control API: no channel has this UID.
    ChannelUnknown = "channel-unknown", "No channel has this UID";
    /// Control API: the channel holds messages and `force` was not said.
    ChannelNotEmpty = "channel-not-empty", "The channel holds messages";
}

impl ProblemType {
    /// The type of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.name() == name)
    }

    /// The problem's `type`.
    pub fn uri(self) -> String {
        format!("{TYPE_BASE}{}", self.name())
    }

    /// The path of the problem's page, at every broker.
    pub fn page(self) -> String {
        format!("{}{}", path::ERRORS, self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_name_and_no_two_share_one() {
        for problem in ProblemType::ALL {
            assert_eq!(ProblemType::from_name(problem.name()), Some(*problem));
        }
        assert_eq!(ProblemType::from_name("no-such-type"), None);
    }
}
