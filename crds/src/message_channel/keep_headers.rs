//! The rule that `keepHeaders` covers no forbidden header. The lists of forbidden headers are the broker's own.

use restante_wire::channel::{NEVER_KEPT, NEVER_KEPT_PREFIXES};

/// The rule in CEL: no entry equals a forbidden header, and no entry that ends with `*` covers one.
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
