//! The table of routes from which both the router and the OpenAPI document are built, so that they agree.

use std::sync::Arc;

use axum::{Router, handler::Handler, routing::MethodRouter};
use utoipa::openapi::{
    HttpMethod, PathItem, RefOr,
    path::{Operation, Paths, PathsBuilder},
};

use super::{
    Context,
    describe::{ADDRESS_FORMS, PathForm},
};
use crate::http::RouteName;

/// Describes one method of a route in OpenAPI.
type Describe = fn() -> Operation;

/// Routes with their handlers and descriptions.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<Arc<Context>>,
    paths: PathsBuilder,
    names: Vec<RouteName>,
}

/// The methods of one path.
#[derive(Default)]
pub(super) struct Route {
    served: MethodRouter<Arc<Context>>,
    described: Vec<(HttpMethod, Describe)>,
}

impl Routes {
    /// Adds a route at a path: a prefix, parameters of one segment each, and the rest of the path.
    pub(super) fn at(self, prefix: &str, form: &PathForm, rest: &'static str, route: Route) -> Self {
        let Self { router, paths, mut names } = self;
        let path = format!("{prefix}{}{rest}", form.template());
        let item = route.described(form);
        let (segments, methods) = (Some(form.segments()), route.methods());
        names.push(RouteName { prefix: prefix.into(), segments, rest, name: path.clone(), methods });
        Self { router: router.route(&path, route.served), paths: paths.path(path, item), names }
    }

    /// Adds a route at a prefix that an address follows. A path parameter of OpenAPI cannot contain slashes, so there
    /// is one description for each form of an address; addresses of other forms are served the same.
    pub(super) fn at_address(self, prefix: &str, route: Route) -> Self {
        let Self { mut router, mut paths, mut names } = self;
        for form in &ADDRESS_FORMS {
            let item = route.described(form);
            paths = paths.path(format!("{prefix}{}", form.template()), item);
        }
        // An empty address is served too, as a malformed one.
        for (name, segments) in [(format!("{prefix}{{*address}}"), None), (prefix.to_owned(), Some(0))] {
            router = router.route(&name, route.served.clone());
            let methods = route.methods();
            names.push(RouteName { prefix: prefix.into(), segments, rest: "", name, methods });
        }
        Self { router, paths, names }
    }

    /// The router of the routes.
    pub(super) fn router(self) -> Router<Arc<Context>> {
        self.router
    }

    /// The names of the routes for metrics.
    pub(super) fn names(&self) -> &[RouteName] {
        &self.names
    }

    /// The OpenAPI descriptions of the routes.
    pub(super) fn paths(self) -> Paths {
        self.paths.build()
    }
}

impl Route {
    /// A route without methods.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds GET.
    pub(super) fn get<H: Handler<T, Arc<Context>>, T: 'static>(self, handler: H, describe: Describe) -> Self {
        self.with(HttpMethod::Get, describe, |served| served.get(handler))
    }

    /// Adds HEAD. Every GET needs its own: the framework's HEAD would do the work of the GET.
    pub(super) fn head<H: Handler<T, Arc<Context>>, T: 'static>(
        self,
        handler: H,
        describe: Describe,
    ) -> Self {
        self.with(HttpMethod::Head, describe, |served| served.head(handler))
    }

    /// Adds POST.
    pub(super) fn post<H: Handler<T, Arc<Context>>, T: 'static>(
        self,
        handler: H,
        describe: Describe,
    ) -> Self {
        self.with(HttpMethod::Post, describe, |served| served.post(handler))
    }

    /// Adds DELETE.
    pub(super) fn delete<H: Handler<T, Arc<Context>>, T: 'static>(
        self,
        handler: H,
        describe: Describe,
    ) -> Self {
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

    /// The names of the methods.
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

/// Removes the bodies from the description, because an answer to HEAD has none (RFC 9110 section 9.3.2).
fn without_bodies(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            response.content.clear();
        }
    }
}
