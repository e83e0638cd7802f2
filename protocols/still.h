#pragma once

struct http_request;
struct tree;

/*
 * GET and HEAD below /recordings/: /recordings/<camera>/<instant>.jpg is the recorded picture of that instant, that of the last
 * keyframe shown by then (storage/clip_name.h says how instants are written); all else is http_files'. One tree for the
 * process, set before the first request.
 */
void still_set_tree(struct tree *tree);
void still_get(struct http_request *request);
