/* GET /metrics: the registry, in the form that Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocols/http_server.h"
#include "protocols/prometheus.h"
#include "server/base/metrics.h"
#include "server/base/reactor.h"
#include "tests/http_conversation.h"

static const struct http_route routes[] = {
	{"/metrics", HTTP_GET, ROLE_VIEWER, prometheus_get},
	{ NULL,      0,        ROLE_VIEWER, NULL          },
};

static void test_metrics_are_served(void **state)
{
	struct http_server *server;
	char *answer;

	(void)state;
	reactor_init();
	server = http_server_new("127.0.0.1:0", true, NULL, routes);
	assert_non_null(server);
	metric_add(metric_get(METRIC_CAMERA_BYTES, "porch"), 42);
	answer = http_say(http_server_address(server),
		"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
	assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
	assert_non_null(
		strstr(answer, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(answer, "\r\nCache-Control: no-store\r\n"));
	assert_non_null(
		strstr(answer, "\nnvrd_camera_received_bytes_total{camera=\"porch\"} 42\n"));
	free(answer);
	http_server_free(server);
	reactor_fini();
	metrics_fini();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metrics_are_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
