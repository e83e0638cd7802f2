#include "onvif/recording_filter.h"

#include <stdio.h>
#include <string.h>

#include <libxml/xpath.h>

enum {
	OPERATIONS = 10000 /* of an evaluation */
};

static void on_error(void *arg, xmlErrorPtr error)
{
	(void)arg, (void)error; /* the result says it */
}

/* Some write the schema's prefix all the same. */
static void without_prefix(char ret[RECORDING_FILTER_BYTES], const char *expression)
{
	const char *prefix;
	size_t n = 0;

	while ((prefix = strstr(expression, "tt:"))) {
		memcpy(ret + n, expression, (size_t)(prefix - expression));
		n += (size_t)(prefix - expression);
		expression = prefix + strlen("tt:");
	}
	snprintf(ret + n, RECORDING_FILTER_BYTES - n, "%s", expression);
}

static xmlXPathContext *context_new(xmlDoc *document)
{
	xmlXPathContext *context = xmlXPathNewContext(document);

	if (context) {
		context->error = on_error;
		context->opLimit = OPERATIONS;
	}
	return context;
}

bool recording_filter_is_valid(const char *expression)
{
	char plain[RECORDING_FILTER_BYTES];
	xmlXPathCompExpr *compiled = NULL;
	xmlXPathContext *context;

	if (strlen(expression) >= sizeof(plain))
		return false;
	without_prefix(plain, expression);
	context = context_new(NULL);
	if (context)
		compiled = xmlXPathCtxtCompile(context, (const xmlChar *)plain);
	bool is_valid = compiled != NULL;
	xmlXPathFreeCompExpr(compiled);
	xmlXPathFreeContext(context);
	return is_valid;
}

static void take_namespaces_away(xmlNode *node)
{
	xmlSetNs(node, NULL);
	for (xmlNode *child = node->children; child; child = child->next) {
		if (child->type == XML_ELEMENT_NODE)
			take_namespaces_away(child);
	}
}

bool recording_filter_has(const char *expression, xmlNode *information)
{
	char plain[RECORDING_FILTER_BYTES];
	xmlXPathObject *result = NULL;
	xmlXPathContext *context;

	if (strlen(expression) >= sizeof(plain))
		return false;
	without_prefix(plain, expression);
	context = context_new(information->doc);
	take_namespaces_away(information);
	if (context) {
		context->node = information;
		result = xmlXPathEvalExpression((const xmlChar *)plain, context);
	}
	bool has = result && xmlXPathCastToBoolean(result);
	xmlXPathFreeObject(result);
	xmlXPathFreeContext(context);
	return has;
}
