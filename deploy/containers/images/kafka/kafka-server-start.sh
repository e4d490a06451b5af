#!/bin/sh
exec java $KAFKA_HEAP_OPTS $KAFKA_LOG4J_OPTS -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '/opt/kafka/libs/*' kafka.Kafka "$@"
