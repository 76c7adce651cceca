//! One table of routes, of which both the router and the OpenAPI document are made: what one has, the other has.

use std::sync::Arc;

use axum::{Router, handler::Handler, routing::MethodRouter};
use utoipa::openapi::{
    HttpMethod, PathItem, RefOr,
    path::{Operation, Paths, PathsBuilder},
};

use super::measure::RouteName;
use crate::{
    adapter::Context,
    openapi::{ADDRESS_FORMS, PathForm},
};

/// Describes what a route does with one method.
type Describe = fn() -> Operation;

/// Routes, served and described.
#[derive(Default)]
pub struct Routes {
    router: Router<Arc<Context>>,
    paths: PathsBuilder,
    names: Vec<RouteName>,
}

/// What is at one path.
#[derive(Default)]
pub struct Route {
    served: MethodRouter<Arc<Context>>,
    described: Vec<(HttpMethod, Describe)>,
}

impl Routes {
    /// A route at a path: a prefix, parameters that are one segment each, and what follows them.
    pub fn at(self, prefix: &str, form: &PathForm, rest: &'static str, route: Route) -> Self {
        let Self { router, paths, mut names } = self;
        let path = format!("{prefix}{}{rest}", form.template());
        let item = route.described(form);
        let (segments, methods) = (Some(form.segments()), route.methods());
        names.push(RouteName { prefix: prefix.into(), segments, rest, name: path.clone(), methods });
        Self { router: router.route(&path, route.served), paths: paths.path(path, item), names }
    }

    /// A route at a prefix that an address follows. A template of OpenAPI's cannot have slashes in a parameter, so there
    /// is one for each number of segments that is described; all others are served alike.
    pub fn at_address(self, prefix: &str, route: Route) -> Self {
        let Self { mut router, mut paths, mut names } = self;
        for form in &ADDRESS_FORMS {
            let item = route.described(form);
            paths = paths.path(format!("{prefix}{}", form.template()), item);
        }
        // No segment at all is an address too, and a malformed one.
        for (name, segments) in [(format!("{prefix}{{*address}}"), None), (prefix.to_owned(), Some(0))] {
            router = router.route(&name, route.served.clone());
            let methods = route.methods();
            names.push(RouteName { prefix: prefix.into(), segments, rest: "", name, methods });
        }
        Self { router, paths, names }
    }

    /// What serves them.
    pub fn router(self) -> Router<Arc<Context>> {
        self.router
    }

    /// What their requests are counted under.
    pub(super) fn names(&self) -> &[RouteName] {
        &self.names
    }

    /// What describes them.
    pub fn paths(self) -> Paths {
        self.paths.build()
    }
}

impl Route {
    /// A route that takes no method yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// GET.
    pub fn get<H: Handler<T, Arc<Context>>, T: 'static>(self, handler: H, describe: Describe) -> Self {
        self.with(HttpMethod::Get, describe, |served| served.get(handler))
    }

    /// HEAD. Every GET needs one of its own: the framework's would do what the GET does.
    pub fn head<H: Handler<T, Arc<Context>>, T: 'static>(self, handler: H, describe: Describe) -> Self {
        self.with(HttpMethod::Head, describe, |served| served.head(handler))
    }

    /// POST.
    pub fn post<H: Handler<T, Arc<Context>>, T: 'static>(self, handler: H, describe: Describe) -> Self {
        self.with(HttpMethod::Post, describe, |served| served.post(handler))
    }

    /// DELETE.
    pub fn delete<H: Handler<T, Arc<Context>>, T: 'static>(self, handler: H, describe: Describe) -> Self {
        self.with(HttpMethod::Delete, describe, |served| served.delete(handler))
    }

    fn with(
        mut self,
        method: HttpMethod,
        describe: Describe,
        serve: impl FnOnce(MethodRouter<Arc<Context>>) -> MethodRouter<Arc<Context>>,
    ) -> Self {
        self.described.push((method, describe));
        Self { served: serve(self.served), described: self.described }
    }

    /// As they stand in a request.
    fn methods(&self) -> Vec<&'static str> {
        let name = |method: &HttpMethod| match method {
            HttpMethod::Get => "GET",
            HttpMethod::Put => "PUT",
            HttpMethod::Post => "POST",
            HttpMethod::Delete => "DELETE",
            HttpMethod::Options => "OPTIONS",
            HttpMethod::Head => "HEAD",
            HttpMethod::Patch => "PATCH",
            HttpMethod::Trace => "TRACE",
        };
        self.described.iter().map(|(method, _)| name(method)).collect()
    }

    fn described(&self, form: &PathForm) -> PathItem {
        let mut item = PathItem::default();
        for (method, describe) in &self.described {
            let mut operation = form.added_to(describe());
            if *method == HttpMethod::Head {
                without_bodies(&mut operation);
            }
            item.merge_operations(PathItem::new(method.clone(), operation));
        }
        item
    }
}

/// An answer to HEAD has none (RFC 9110 section 9.3.2).
fn without_bodies(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.content.clear();
        }
    }
}
