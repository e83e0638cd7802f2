/* GET /metrics: the registry in Prometheus' text exposition format 0.0.4. */
#include "protocols/prometheus.h"

#include <stdlib.h>

#include <event2/buffer.h>

#include "protocols/http_server.h"
#include "server/base/metrics.h"

void prometheus_get(struct http_request *request)
{
	struct evbuffer *body = evbuffer_new();

	if (!body)
		abort();
	metrics_write(body);
	http_add_field(request, "Cache-Control", "no-store");
	http_answer(request, 200, "text/plain; version=0.0.4; charset=utf-8", body);
	evbuffer_free(body);
}
