#pragma once

struct auth_user;
struct http_request;
struct tree;
struct tree_entry;

/*
 * Answers with a collection of the tree as a page for browsers: plain HTML, no script, streamed.
 * The request's context becomes the listing's. `collection` and `user` are copied.
 */
void listing_answer(struct http_request *request, struct tree *tree,
	const struct tree_entry *collection, const struct auth_user *user);
