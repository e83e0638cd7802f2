#pragma once

struct http_request;
struct tree;

/*
 * WebDAV (RFC 4918) over the tree: PROPFIND, Depth 0 and 1, read-only for now; the live properties
 * of recordings are in the namespace urn:nvrd:dav.
 */
void dav_set_tree(struct tree *tree);
void dav_propfind(struct http_request *request);
