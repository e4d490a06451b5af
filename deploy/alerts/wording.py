"""Every alert in Chinese: what it means, and the first step. The runbook has the rest, in the same order."""

HOW_SOON = {"critical": "立即处理", "warning": "今日处理"}
OTHER = "看处置手册。"

WORDING = {
    # processes
    "ProcessDown": ("服务进程没有响应", "看进程是否在运行，看它最后的日志。"),
    "MetricsMissing": ("监控采集不到任何进程", "看 Prometheus 的采集目标；此时其他告警都不会响。"),
    "ProcessNotReady": ("服务进程未就绪", "看该进程的就绪检查，哪一项没有通过。"),
    "ProcessCrashLooping": ("服务进程反复重启", "看最后几次退出前的日志；刚升级过就先退回。"),
    "ManyServerErrors": ("服务返回大量错误", "看错误日志集中在哪个接口；刚升级过就先退回。"),
    "ResponsesSlow": ("服务响应变慢", "看数据库、CPU 与请求量。"),
    # security
    "TokensRefused": ("大量请求因令牌被拒", "看各进程的时钟和签名密钥。"),
    "TokensForged": ("有人使用伪造的令牌", "按来源地址查安全日志，在网关封禁。"),
    "ForeignObjectAccess": ("有人访问他人的数据", "按操作人查安全日志，必要时停用账号。"),
    "MassLookups": ("有账号大量查询人员", "联系账号使用人；说不清就停用账号。"),
    "ErasureForged": ("收到伪造的删除指令", "不要放行；查是谁写入了这个 Kafka 主题。"),
    "ManyDenials": ("大量请求被拒绝", "按原因查安全日志。"),
    "StaffLoginFailures": ("工作人员账号大量登录失败", "按账号和来源地址查安全日志。"),
    "SprayFromOneNetwork": ("同一网络在猜测多人的凭据", "在网关封禁该网络。"),
    "CodeGuessing": ("有人在猜测一个人的验证码", "查来源地址；通知本人。"),
    "ManyRebindings": ("大量证书换绑手机", "按经办人查安全日志，并抽查几件。"),
    "ManyErasures": ("短时间内申请删除多人", "联系申请人；有疑问就先撤销申请。"),
    "AuditTrailWrong": ("审计记录被篡改或缺失", "什么都不要改；先保全证据，再用 audit verify 找出位置。"),
    "AuditHeadMissing": ("审计记录两小时没有签名", "看 identity 的 worker 是否在运行，日志有无错误。"),
    "ApprovalBypassed": ("有命令绕过审批修改了账号", "联系执行人核实；无法解释就停用该账号。"),
    "ManyAccountChanges": ("大量账号被创建或修改", "核对是谁改的，改了什么。"),
    # publishers and consumers
    "PublisherStalled": ("数据变更没有发布到 Kafka", "看该服务 worker 的日志与 Kafka 是否正常。"),
    "NoPublisher": ("没有进程在发布数据变更", "看该服务的 worker 是否在运行。"),
    "PublisherRestarting": ("变更发布反复重启", "看该服务 worker 日志中的错误。"),
    "PublisherPositionLost": ("发布位置丢失，正在重发全部数据", "等它完成；查位置为什么丢失。"),
    "VersionNotPublished": ("有一条数据无法发布", "从日志取出文档编号，交开发修复。"),
    "OplogTooShort": ("数据库操作日志保留时间过短", "加大 oplog。"),
    "ConsumerLagHigh": ("大量事件等待处理", "看该消费组是在追赶还是停住。"),
    "ConsumerStalled": ("事件处理停住", "看该消费组的日志；进程会自动重启。"),
    "ConsumerStopped": ("事件处理因连续失败而停止", "刚升级过就先退回；不要丢弃死信。"),
    "DeadLetters": ("有事件无法处理，待人工处理", "在运维页面查看，修复后重放。"),
    # SMS and log-in
    "SmsCarrierDown": ("一家短信运营商不可用", "短信已改走另一家；联系该运营商。"),
    "NoSmsCarrier": ("所有短信运营商都不可用", "查出口网络；联系运营商；公告登录受影响。"),
    "SmsCarrierNeedsAttention": ("短信运营商拒绝发送", "查余额、签名与模板。"),
    "SmsNotDelivered": ("大量短信未送达", "按运营商看失败原因。"),
    "SmsOverdue": ("短信积压未发", "看 notify 的 worker。"),
    "LoginSuccessLow": ("多数人取得验证码后未能登录", "看短信是否送达，图形验证码是否正常。"),
    "CityCodeLimitReached": ("全市验证码数量达到上限", "查是否被人刷；确属正常再提高上限。"),
    "CityWrongCodeLimitReached": ("全市错误验证码异常多", "查来源地址，可能有人在猜验证码。"),
    # subscribers over HTTP
    "WebhooksFailing": ("推送接收方长时间无响应", "联系接收系统的负责人。"),
    "WebhookPaused": ("一个推送被暂停", "联系接收系统的负责人，修复后恢复。"),
    "FeedRecordsSkipped": ("变更主题中有无法识别的内容", "查是谁写入了 records.changes。"),
    # files
    "VerdictsDelayed": ("上传文件等待审查过久", "看 attachments 与 signature 的 worker。"),
    "ManyUploadsRefused": ("大量上传文件未通过审查", "看拒绝原因是否集中；刚升级过就先退回。"),
    # servers
    "MongoUnavailable": ("MongoDB 连不上", "看副本集有没有主节点，磁盘是否已满。"),
    "KafkaUnavailable": ("Kafka 连不上", "看 Kafka 是否在运行，磁盘是否已满。"),
    "RedisUnavailable": ("Redis 连不上", "看 Redis 是否在运行，内存是否已满。"),
    "S3Unavailable": ("文件存储连不上", "看 S3 服务是否在运行，磁盘是否已满。"),
    "BackupOverdue": ("备份过期", "看备份容器的日志：目标存储可写吗、空间够吗；修好后手动运行一次备份。"),
    "LogsNotShipped": ("日志没有送达日志服务器", "看 log-shipper 的日志：接收端在运行吗、磁盘满了吗、证书对吗。"),
    "DiskAlmostFull": ("磁盘快满", "清理或扩容；先看哪个目录在增长。"),
    # exporters
    "ExporterDown": ("监控指标缺失", "看该采集程序是否在运行；在此期间相关告警不会响。"),
    "KafkaPartitionsOffline": ("Kafka 有分区不可用", "尽快恢复停掉的 Kafka 节点。"),
    "KafkaUnderReplicated": ("Kafka 副本不同步", "看哪个 Kafka 节点停了或太慢。"),
    "SubscriberLagHigh": ("下游系统落后很多", "联系该系统的负责人。"),
    "MongoMemberDown": ("MongoDB 有成员故障或落后", "看 rs.status()，恢复该成员。"),
    "MongoConnectionsHigh": ("MongoDB 连接数接近上限", "看哪个进程占用最多。"),
    "RedisMemoryHigh": ("Redis 内存快满", "提高 maxmemory；满了以后无人能登录。"),
    "RedisNotPersistent": ("Redis 无法写入磁盘", "看 Redis 的日志与磁盘空间。"),
    "MemoryAlmostFull": ("机器内存快满", "看哪个进程占用最多。"),
    "PublicDoorUnavailable": ("外部打不开登录页", "从外网打开网址；看网关、DNS 与证书。"),
    "CertificateExpires": ("网站证书即将到期", "更换证书，或看网关为何没有自动续期。"),
    "InternalCertificateExpires": ("内部证书即将到期", "运行 deploy/secrets.sh；服务器需重新加载证书。"),
    # service levels
    "ErrorBudgetBurnsFast": ("服务水平急剧下降", "先处理同时告警的原因；刚升级过就先退回。"),
    "ErrorBudgetBurnsSteadily": ("服务水平持续下降", "先处理同时告警的原因；刚升级过就先退回。"),
    "ErrorBudgetBurnsSlowly": ("服务水平本月可能不达标", "看“Service levels”面板，从何时开始。"),
    # alerting itself
    "Watchdog": ("告警通路正常", "不用处理：它一直响，中断了才有问题。"),
    "AlertingDown": ("告警组件没有响应", "看 Alertmanager 与 alert-sender 是否在运行。"),
    "AlertsNotDelivered": ("一个告警渠道发不出消息", "看 alert-sender 的日志：机器人地址、密钥、网络。"),
}
