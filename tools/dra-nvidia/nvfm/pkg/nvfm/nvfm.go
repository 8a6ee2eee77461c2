// SPDX-License-Identifier: Apache-2.0

// Package nvfm has the names that NVIDIA's DRA driver takes from its binding to the Fabric Manager, and no library behind them.
//
// That binding is not to be had as a module. The driver calls it only where the feature gate FabricManagerPartitioning
// is on, and here it is off; were it on, the first call would fail.
package nvfm

const (
	SUCCESS Return = iota
	unavailable
)

type (
	Return            int
	FabricPartitionId uint32
	LibraryOption     func()
	ConnectOption     func()

	Interface interface {
		Init() Return
		Shutdown() Return
		Connect(...ConnectOption) (Handle, Return)
	}

	Handle interface {
		Disconnect() Return
		GetSupportedFabricPartitions() (FabricPartitionList, Return)
		ActivateFabricPartition(FabricPartitionId) Return
		DeactivateFabricPartition(FabricPartitionId) Return
	}

	FabricPartitionList struct {
		NumPartitions uint32
		PartitionInfo [1]FabricPartitionInfo
	}

	FabricPartitionInfo struct {
		PartitionId, IsActive, NumGpus uint32
		GpuInfo                        [1]FabricPartitionGpuInfo
	}

	FabricPartitionGpuInfo struct {
		PhysicalId                                             uint32
		Uuid, PciBusId                                         [1]int8
		NumNvLinksAvailable, MaxNumNvLinks, NvlinkLineRateMBps uint32
	}

	library struct{}
)

func New(...LibraryOption) Interface { return library{} }

func WithLibraryPath(string) LibraryOption { return func() {} }
func WithUnixSocket(string) ConnectOption  { return func() {} }
func WithAddress(string) ConnectOption     { return func() {} }
func WithTimeoutMs(uint32) ConnectOption   { return func() {} }

func (Return) String() string { return "no Fabric Manager in this build" }

func (library) Init() Return                              { return unavailable }
func (library) Shutdown() Return                          { return SUCCESS }
func (library) Connect(...ConnectOption) (Handle, Return) { return nil, unavailable }
