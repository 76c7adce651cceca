//! The names of routes.

/// A route for metrics and CORS: a prefix, some segments, and the rest of the path.
#[derive(Debug, Clone)]
pub struct RouteName {
    pub prefix: String,
    /// The number of segments; `None` means any.
    pub segments: Option<usize>,
    pub rest: &'static str,
    /// The template of the path.
    pub name: String,
    pub methods: Vec<&'static str>,
}

impl RouteName {
    pub fn fits(&self, path: &str) -> bool {
        let between = path.strip_prefix(&*self.prefix).and_then(|path| path.strip_suffix(self.rest));
        match (between, self.segments) {
            (None, _) => false,
            (Some(between), None) => !between.is_empty(),
            (Some(between), Some(0)) => between.is_empty(),
            (Some(between), Some(segments)) => between.split('/').count() == segments,
        }
    }
}
