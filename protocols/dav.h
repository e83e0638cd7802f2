#pragma once

#include <stdint.h>

struct http_request;
struct tree;

/*
 * WebDAV (RFC 4918) classes 1, 2 and 3 over the tree; the live properties of recordings are in the namespace
 * urn:nvrd:dav. docs/WEBDAV.md says what is supported.
 */
void dav_set_tree(struct tree *tree);
/* The largest file that PUT takes; 0: no limit. */
void dav_set_put_limit(uint64_t bytes);

void dav_propfind(struct http_request *request);
void dav_proppatch(struct http_request *request);
void dav_mkcol(struct http_request *request);
void dav_put(struct http_request *request);
void dav_delete(struct http_request *request);
void dav_copy(struct http_request *request);
void dav_move(struct http_request *request);
void dav_lock(struct http_request *request);
void dav_unlock(struct http_request *request);
/* SEARCH (RFC 5323): finds recordings by their properties. */
void dav_search(struct http_request *request);
/* PATCH: says why not. */
void dav_refuse(struct http_request *request);
