//! The touchscreen page. Its files are part of the binary; it loads nothing from elsewhere. They are
//! built from `edge/page` (CONTRIBUTING.md, "Change the page"), and committed.

use axum::Router;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, content type and content of each file.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("../../page/dist/index.html")),
    ("/page.css", CSS, include_str!("../../page/dist/page.css")),
    ("/page.js", SCRIPT, include_str!("../../page/dist/page.js")),
];

/// Content Security Policy: nothing from other origins, and no embedding in other pages.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; img-src blob:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Routes of the files. They contain no patient data, so they need no token.
pub(super) fn router() -> Router {
    FILES.iter().fold(Router::new(), |router, &(path, kind, content)| {
        let headers = [
            (CONTENT_TYPE, kind),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            // A cached page might not fit the service after an update.
            (CACHE_CONTROL, "no-cache"),
        ];
        router.route(path, get(move || async move { (headers, content) }))
    })
}

#[cfg(test)]
mod tests {
    use medsa_wire::FORMAT_VERSION;

    #[test]
    fn page_reads_this_version_of_the_wire_format() {
        let version = format!("const VERSION = {FORMAT_VERSION};");
        assert!(include_str!("../../page/src/device/wire.ts").contains(&version), "{version}");
    }
}
