#pragma once

struct http_request;
struct tree;

/*
 * GET and HEAD over the tree (RFC 9110): files with ranges, If-Range, conditional requests;
 * collections as an HTML listing for browsers. One tree for the process, set before the first request.
 */
void http_files_set_tree(struct tree *tree);
void http_files_get(struct http_request *request);
