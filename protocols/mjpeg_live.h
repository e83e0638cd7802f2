#pragma once

struct http_request;
struct stream;

/*
 * GET of live.mjpeg: keyframes as JPEGs in a multipart/x-mixed-replace without end; of cameras that send JPEGs all pictures. A
 * viewer who is behind gets the newest one next.
 */
void mjpeg_live_get(struct http_request *request, struct stream *stream, const char *file);
