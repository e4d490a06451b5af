#!/bin/sh
exec java $KAFKA_LOG4J_OPTS -cp '/opt/kafka/libs/*' kafka.tools.StorageTool "$@"
