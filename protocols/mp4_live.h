#pragma once

struct http_request;
struct stream;

/*
 * GET /live/<camera>/live.mp4: an endless fragmented MP4 that starts at the current group of
 * pictures; times count from zero. A slow reader skips to the next keyframe (counted), then is
 * closed. It outlives a loss of the camera, unless the codec changes.
 */
void mp4_live_get(struct http_request *request, struct stream *stream, const char *file);
