#pragma once

struct http_request;

/* GET /metrics: the registry in Prometheus' text format 0.0.4. */
void prometheus_get(struct http_request *request);
