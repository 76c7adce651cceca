//! The rule that no channel keeps a header that is never kept. The lists are those that the broker checks by.

use restante_wire::channel::{NEVER_KEPT, NEVER_KEPT_PREFIXES};

/// The rule, in CEL: no entry is, and no entry that ends with `*` covers, a header that is never kept.
pub(super) fn rule() -> String {
    let list = |names: &[&str]| {
        let quoted: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
        quoted.join(", ")
    };
    let covers = "(k.endsWith('*') && n.startsWith(k.replace('*', '')))";
    format!(
        "!has(self.keepHeaders) || self.keepHeaders.all(k, \
         ![{}].exists(n, k == n || {covers}) && ![{}].exists(n, k.startsWith(n) || {covers}))",
        list(NEVER_KEPT),
        list(NEVER_KEPT_PREFIXES),
    )
}
