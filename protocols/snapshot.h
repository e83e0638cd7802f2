#pragma once

struct http_request;
struct stream;

/* GET of snapshot.jpg: the newest keyframe as a JPEG, or the first one to come. */
void snapshot_get(struct http_request *request, struct stream *stream, const char *file);
